"""The diagnostics of the paper's figures 1 and 3, drawn.

Shape letters: G groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from crqat_pipeline.evaluation.alignment import AlignmentSummary
from crqat_pipeline.reporting.run_report.themed_figure import Theme, themed_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS: Mapping[str, tuple[str, str, Callable[[AlignmentSummary], float]]] = {
    "Region–text MAE": ("of cosines, lower is nearer", "%.4f", lambda one: one.region_text_mae),
    "Region–region MAE": ("of cosines, lower is nearer", "%.4f", lambda one: one.region_region_mae),
    "Region–region r": ("Pearson, higher is nearer", "%.3f", lambda one: one.region_region_r),
    "Confidence of positives": ("mean score; line: teacher", "%.3f", lambda one: one.confidence_student),
}
"""Title -> what it is, format of the value, the value."""
MAX_COLUMNS = 3


def alignment_figure(summaries: Mapping[str, AlignmentSummary], colours: Mapping[str, str], theme: Theme) -> Figure:
    """Figure 1: a panel per measure, a bar per form; a dash for what could not be measured."""
    figure, panels = themed_axes(theme, 11.0, 1.1 + 0.3 * len(summaries), columns=len(PANELS))
    names = list(summaries)
    for axes, (title, (meaning, pattern, value_of)) in zip(panels, PANELS.items(), strict=True):
        values = [value_of(one) for one in summaries.values()]
        widths = [0.0 if math.isnan(value) else value for value in values]
        axes.barh(range(len(names)), widths, 0.72, color=[colours[name] for name in names])
        for row, value in enumerate(values):  # a column at the right edge, where neither bar nor line reaches
            text = "–" if math.isnan(value) else pattern % value
            axes.annotate(text, (1.0, row), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=8,
                          color=theme.ink)  # fmt: skip
        axes.set_yticks(range(len(names)), names if axes is panels[0] else [""] * len(names))
        axes.invert_yaxis()
        lines = [one.confidence_teacher for one in summaries.values()] if axes is panels[-1] else []
        axes.set_xlim(min([0.0, *widths]), max([*widths, *lines, 1e-9]) * 1.4)
        axes.xaxis.set_major_locator(_few_ticks())
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color=theme.faint, linewidth=0.8)
        axes.set_title(title, color=theme.ink, fontsize=9, loc="left")
        axes.set_xlabel(meaning, color=theme.ink, fontsize=8)
    for one in list(summaries.values())[:1]:  # the same teacher for all
        panels[-1].axvline(one.confidence_teacher, color=theme.ink, linewidth=1.2, linestyle=(0, (3, 2)))
    return figure


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=3)


def distortion_figure(summaries: Mapping[str, AlignmentSummary], colours: Mapping[str, str], theme: Theme) -> Figure:
    """Figure 3: embedding against confidence distortion, one dot per (image, category) group, one panel per form."""
    columns = min(max(len(summaries), 1), MAX_COLUMNS)
    rows = -(-max(len(summaries), 1) // columns)
    figure, panels = themed_axes(theme, 3.66 * columns, 2.75 * rows, columns, rows)
    top_x = max((value for one in summaries.values() for value in one.embedding_distortion_G), default=0.0)
    top_y = max((value for one in summaries.values() for value in one.confidence_distortion_G), default=0.0)
    for axes, (name, summary) in zip(panels, summaries.items(), strict=False):
        axes.scatter(summary.embedding_distortion_G, summary.confidence_distortion_G, s=10, alpha=0.4,
                     color=colours[name], linewidths=0)  # fmt: skip
        axes.set_xlim(0, top_x * 1.05 or 1.0)
        axes.set_ylim(0, top_y * 1.05 or 1.0)
        axes.ticklabel_format(scilimits=(-3, 4))
        rho = "–" if math.isnan(summary.distortion_rho) else f"{summary.distortion_rho:.2f}".replace("-", "−")
        axes.set_title(f"{name}   ρ = {rho}", color=theme.ink, fontsize=9)
        axes.set_xlabel("embedding distortion", color=theme.ink, fontsize=8)
        axes.set_ylabel("confidence distortion", color=theme.ink, fontsize=8)
    for axes in panels[len(summaries) :]:
        axes.set_axis_off()
    return figure
