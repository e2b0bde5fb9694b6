"""Figures of the report, drawn without a display and returned, in a light and a dark version of the same look.

Shape letters: G groups.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crqat_pipeline.evaluation.alignment import AlignmentSummary
from crqat_pipeline.evaluation.report_data import LossCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """ink: text and axes. faint: grid. forms: colours of the forms in order, told apart by colour-blind readers."""

    ink: str
    faint: str
    forms: tuple[str, ...]


LIGHT = Theme("#39424e", "#dfe3e8", ("#76808c", "#e8a33d", "#3b82c4", "#17927e", "#b5487f", "#7b5cd6"))
DARK = Theme("#c6ced8", "#333b46", ("#8d97a3", "#e2a348", "#5b9bd8", "#2fb39c", "#d56fa0", "#9b82ea"))


def form_colours(names: Sequence[str], theme: Theme) -> dict[str, str]:
    """One colour per form; give the same mapping to every figure of a report."""
    return {name: theme.forms[i % len(theme.forms)] for i, name in enumerate(names)}


def _axes(theme: Theme, width: float, height: float, columns: int = 1) -> tuple[Figure, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=144, layout="constrained", facecolor="none")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
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
    figure, (axes,) = _axes(theme, 5.2, 2.9)
    width = 0.8 / max(len(values), 1)
    for i, (name, series) in enumerate(values.items()):
        heights = np.array(series, np.float64)
        centres = np.arange(len(labels)) + (i - (len(values) - 1) / 2) * width
        axes.bar(centres, np.nan_to_num(heights), width * 0.9, color=colours[name], label=name)
        for centre, height in zip(centres, heights, strict=True):
            text = "–" if np.isnan(height) else f"{height:.1f}"
            axes.annotate(text, (centre, np.nan_to_num(height)), (0, 2), textcoords="offset points", ha="center",
                          fontsize=7 if len(values) < 5 else 5.5, color=theme.ink)  # fmt: skip
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set_ylabel("AP (%)", color=theme.ink, fontsize=9)
    return figure


def loss_figure(curve: LossCurve, theme: Theme) -> Figure:
    """The losses of one stage over its steps: every value faint, the mean of the last twentieth of the run strong."""
    figure, (axes,) = _axes(theme, 5.2, 2.9)
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
    axes.set_xlabel("step", color=theme.ink, fontsize=9)
    axes.set_ylabel("loss", color=theme.ink, fontsize=9)
    axes.legend(frameon=False, labelcolor=theme.ink, fontsize=8)
    return figure


def distortion_figure(summaries: Mapping[str, AlignmentSummary], colours: Mapping[str, str], theme: Theme) -> Figure:
    """Embedding against confidence distortion, one dot per (image, category) group, one panel per form."""
    figure, panels = _axes(theme, 2.9 * max(len(summaries), 1), 2.9, columns=max(len(summaries), 1))
    top_x = max(max(one.embedding_distortion_G) for one in summaries.values()) * 1.05 or 1.0
    top_y = max(max(one.confidence_distortion_G) for one in summaries.values()) * 1.05 or 1.0
    for axes, (name, summary) in zip(panels, summaries.items(), strict=True):
        axes.scatter(summary.embedding_distortion_G, summary.confidence_distortion_G, s=9, alpha=0.45,
                     color=colours[name], linewidths=0)  # fmt: skip
        axes.set_xlim(0, top_x)
        axes.set_ylim(0, top_y)
        axes.set_title(f"{name}   ρ = {summary.distortion_rho:.2f}", color=theme.ink, fontsize=9)
        axes.set_xlabel("embedding distortion", color=theme.ink, fontsize=9)
    panels[0].set_ylabel("confidence distortion", color=theme.ink, fontsize=9)
    return figure


def _loss_colours(theme: Theme, number: int) -> list[str]:
    return [theme.forms[1 + i % (len(theme.forms) - 1)] for i in range(number)]


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file with a transparent background."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return buffer.getvalue()
