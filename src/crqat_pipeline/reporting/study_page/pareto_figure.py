"""Accuracy of methods against what their students cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from crqat_pipeline.reporting.study_page.figures import COLOURS, FAINT, MARKERS, new_figure
from crqat_pipeline.study.comparison import Compared
from crqat_pipeline.study.costs import MethodCost

ACCURACY = (("AP_unseen", "AP on unseen categories, %"), ("AP_novel", "AP on novel categories, %"), ("AP", "AP, %"))


def pareto_figure(rows: Sequence[Compared], costs: Mapping[str, MethodCost]) -> Figure:
    """A line of panels per kind of category: bit operations at each number of prompts, and bytes.

    A mark per method with the standard deviation over seeds; up and left is better. Grey: the best
    at no higher cost.
    """
    shown = [one for one in ACCURACY if any(row.figures.get(one[0]) for row in rows)]
    shown = shown[:-1] if len(shown) > 1 else shown or [ACCURACY[-1]]
    prompts = list(next(iter(costs.values())).bops_g) if costs else []
    figure = new_figure(4.2 * (len(prompts) + 1) + 2.4, 3.7 * len(shown))
    grid = figure.subplots(len(shown), len(prompts) + 1, squeeze=False, sharey="row")
    for (name, label), line in zip(shown, grid, strict=True):
        line[0].set_ylabel(label)
        for axes, asked in zip(line, [*prompts, None], strict=True):
            spent = {row.name: _spent(costs[row.name], asked) for row in rows}
            front = sorted((spent[row.name], 100 * row.mean(name)) for row in rows)
            best = list(accumulate((accuracy for _, accuracy in front), max))
            axes.step([at for at, _ in front], best, where="post", color=FAINT, linewidth=6, zorder=0)
            for index, row in enumerate(rows):
                deviation = row.deviation(name)
                axes.errorbar(
                    spent[row.name],
                    100 * row.mean(name),
                    yerr=100 * deviation if deviation == deviation else None,
                    fmt=MARKERS[(index + index // len(COLOURS)) % len(MARKERS)],
                    color=COLOURS[index % len(COLOURS)],
                    capsize=2,
                    markersize=7,
                    label=row.label,
                )
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel("size, MB" if asked is None else f"bit operations at {asked} prompts, 10⁹")
            axes.grid(color=FAINT)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
    grid[0][-1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _spent(cost: MethodCost, asked: int | None) -> float:
    """Bit operations at this number of prompts, or bytes for None."""
    return cost.size_mb if asked is None else cost.bops_g[asked]
