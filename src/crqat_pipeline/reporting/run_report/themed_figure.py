"""Figures of the report, drawn without a display and returned, in a light and a dark version of the same look."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crqat_pipeline.reporting.run_report.content import LossCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """ink: text and axes. faint: grid. forms: colours of the forms in order, told apart by colour-blind readers."""

    ink: str
    faint: str
    forms: tuple[str, ...]


LIGHT = Theme(
    "#39424e", "#dfe3e8", ("#76808c", "#e8a33d", "#3b82c4", "#17927e", "#b5487f", "#7b5cd6", "#8a5a2b", "#c23b3b")
)
DARK = Theme(
    "#c6ced8", "#333b46", ("#8d97a3", "#e2a348", "#5b9bd8", "#2fb39c", "#d56fa0", "#9b82ea", "#c08d5c", "#e87878")
)


MAX_LEVEL_LABELS = 16
"""Bars of one figure that numbers fit above; over more they stand upright."""


def form_colours(names: Sequence[str], theme: Theme) -> dict[str, str]:
    """One colour per form; give the same mapping to every figure of a report."""
    return {name: theme.forms[i % len(theme.forms)] for i, name in enumerate(names)}


def themed_axes(theme: Theme, width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Any]]:
    """An empty figure of width × height inches and its axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    figure = Figure(figsize=(width, height), dpi=144, layout=layout, facecolor="none")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for one in axes:
        one.set_facecolor("none")
        one.spines[["top", "right", "left"]].set_visible(False)
        one.spines["bottom"].set_color(theme.faint)
        one.tick_params(colors=theme.ink, length=0, labelsize=9)
        one.grid(axis="y", color=theme.faint, linewidth=0.8)
        one.set_axisbelow(True)
    return figure, axes


def bar_figure(
    labels: Sequence[str], values: Mapping[str, Sequence[float]], colours: Mapping[str, str], theme: Theme
) -> Figure:
    """Grouped bars of AP: one group per label, one bar per form; in percent, NaN for what was not measured."""
    figure, (axes,) = themed_axes(theme, 5.2, 2.9)
    width = 0.8 / max(len(values), 1)
    is_crowded = len(values) * len(labels) > MAX_LEVEL_LABELS
    for i, (name, series) in enumerate(values.items()):
        heights = np.array(series, np.float64)
        centres = np.arange(len(labels)) + (i - (len(values) - 1) / 2) * width
        axes.bar(centres, np.nan_to_num(heights), width * 0.9, color=colours[name], label=name)
        for centre, height in zip(centres, heights, strict=True):
            text = "–" if np.isnan(height) else f"{height:.1f}"
            axes.annotate(text, (centre, np.nan_to_num(height)), (0, 2), textcoords="offset points", ha="center",
                          fontsize=7 if is_crowded or len(values) < 5 else 5.5, color=theme.ink,
                          rotation=90 if is_crowded else 0)  # fmt: skip
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set_ylim(
        0,
        max(
            1.0,
            *(value * (1.18 if is_crowded else 1.12) for series in values.values() for value in np.nan_to_num(series)),
        ),
    )
    axes.set_ylabel("AP (%)", color=theme.ink, fontsize=9)
    return figure


def loss_figure(curve: LossCurve, theme: Theme) -> Figure:
    """The losses of one stage over its steps: every value faint, the mean of the last twentieth of the run strong."""
    figure, (axes,) = themed_axes(theme, 5.2, 2.9)
    steps = np.asarray(curve.steps)
    window = max(1, len(steps) // 20)
    for (name, series), colour in zip(curve.losses.items(), _loss_colours(theme, len(curve.losses)), strict=True):
        values = np.asarray(series, np.float64)
        total = np.cumsum(np.r_[0.0, values])
        first = np.maximum(np.arange(len(values)) + 1 - window, 0)
        mean = (total[1:] - total[first]) / (np.arange(len(values)) + 1 - first)
        if window > 1:
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(steps, mean, color=colour, linewidth=1.8, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(bottom=min(0.0, *(min(series) for series in curve.losses.values())))
    axes.set_xlabel("step", color=theme.ink, fontsize=9)
    axes.set_ylabel("loss", color=theme.ink, fontsize=9)
    figure.legend(loc="outside upper left", ncols=6, frameon=False, labelcolor=theme.ink, fontsize=8, handlelength=1.0,
                  columnspacing=1.2)  # fmt: skip
    return figure


def _loss_colours(theme: Theme, number: int) -> list[str]:
    """The sum of all, which comes first, in ink."""
    return [theme.ink, *(theme.forms[1 + i % (len(theme.forms) - 1)] for i in range(number - 1))][:number]


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file with a transparent background."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return buffer.getvalue()
