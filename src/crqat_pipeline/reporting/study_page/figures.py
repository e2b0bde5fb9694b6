"""Pictures of a study: paired differences, the grid of learning rates, alignment against AP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from crqat_pipeline.study.comparison import Compared

INK, FAINT = "#39424e", "#dfe3e8"
COLOURS = ("#3b82c4", "#e8a33d", "#17927e", "#b5487f", "#7b5cd6", "#76808c", "#c4573b", "#5a9e2f", "#2f6f9e", "#a3782f")
MARKERS = "osD^vP*Xph"
COMPARED = (("AP_qat", "seen"), ("AP_unseen", "unseen"), ("AP_novel", "novel"))
ALL = ("AP", "all")
"""Where the annotations know no such groups of categories."""


def new_figure(width: float, height: float) -> Figure:
    """An empty one, in inches."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def differences_figure(rows: Sequence[Compared]) -> Figure:
    """One line per method and group of categories: mean paired difference to the reference, 95 % interval."""
    shown = [row for row in rows if row.reference is not None]
    figure = new_figure(8, 1.2 + 0.62 * max(len(shown), 1))
    axes = figure.subplots()
    groups = [one for one in COMPARED if any(row.difference(one[0]) for row in shown)] or [ALL]
    for offset, (figure_name, label) in enumerate(groups):
        at, means, reaches = [], [], []
        for index, row in enumerate(shown):
            paired = row.difference(figure_name)
            if paired is not None:
                at.append(index + 0.22 * (offset - (len(groups) - 1) / 2))
                means.append(100 * paired.mean)
                reaches.append(100 * (paired.high - paired.mean))
        axes.errorbar(
            means, at, xerr=reaches, fmt=MARKERS[offset], color=COLOURS[offset], capsize=3, markersize=5, label=label
        )
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(shown)), [row.label for row in shown])
    axes.invert_yaxis()
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    references = {row.reference.label for row in shown if row.reference is not None}
    axes.set_xlabel(f"difference in AP to {' / '.join(sorted(references))}, points (95 % interval over seeds)")
    axes.legend(frameon=False, title="categories", loc="best")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def rates_figure(panels: Mapping[str, Mapping[str, Sequence[float]]], rates: Sequence[float]) -> Figure:
    """The selection metric on the tuning images over the learning rate: a panel per bit-width (title -> its methods),
    a line per method; the best is ringed."""
    figure = new_figure(8, 4.6 * max(len(panels), 1))
    every = figure.subplots(max(len(panels), 1), 1, squeeze=False)[:, 0]
    for axes, (title, means) in zip(every, panels.items(), strict=False):
        _draw_rates(axes, means, rates)
        axes.set_title(title if len(panels) > 1 else "", loc="left", fontsize=10)
    return figure


def _draw_rates(axes: Axes, means: Mapping[str, Sequence[float]], rates: Sequence[float]) -> None:
    for index, (label, values) in enumerate(means.items()):
        percent = [100 * value for value in values]
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        axes.plot(rates, percent, marker=marker, markersize=5, color=colour, label=label)
        finite = [value for value in percent if value == value]
        if finite:
            best = percent.index(max(finite))
            axes.plot(rates[best], percent[best], "o", markersize=12, fillstyle="none", color=colour)
    axes.set_xscale("log")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.set_xlabel("learning rate")
    axes.set_ylabel("AP on the tuning images, %")
    axes.grid(color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def alignment_figure(rows: Sequence[Compared]) -> Figure:
    """Distance to the teacher's embeddings against AP: a dot per seed, a mark per method.

    AP on unseen categories where the annotations know them.
    """
    has_unseen = any(row.figures.get("AP_unseen") for row in rows)
    accuracy, label = ("AP_unseen", "AP on unseen categories, %") if has_unseen else ("AP", "AP, %")
    figure = new_figure(9, 4.2)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (name, title) in zip(
        panels, (("region_text_mae", "region–text MAE"), ("region_region_mae", "region–region MAE")), strict=True
    ):
        for index, row in enumerate(rows):
            distances, precisions = row.figures.get(name, {}), row.figures.get(accuracy, {})
            seeds = sorted(distances.keys() & precisions.keys())
            colour = COLOURS[index % len(COLOURS)]
            axes.scatter(
                [distances[seed] for seed in seeds], [100 * precisions[seed] for seed in seeds], s=12, color=colour
            )
            axes.plot(
                row.mean(name),
                100 * row.mean(accuracy),
                MARKERS[index % len(MARKERS)],
                markersize=10,
                color=colour,
                markeredgecolor="white",
                label=row.label,
            )
        axes.set_xlabel(f"{title} to the teacher")
        axes.grid(color=FAINT)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(label)
    panels[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
