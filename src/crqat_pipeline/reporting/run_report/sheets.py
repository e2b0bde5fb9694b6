"""Pictures of a run: AP of the forms, loss curves, the same images as each form sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from crqat_pipeline.evaluation.alignment import AlignmentSummary
from crqat_pipeline.evaluation.comparison import compare_detections
from crqat_pipeline.recipes.evaluation_run import Results
from crqat_pipeline.recipes.form_spec import Forms
from crqat_pipeline.reporting.run_report.alignment_figure import alignment_figure, distortion_figure
from crqat_pipeline.reporting.run_report.content import GalleryImage, HeatMapRow, LossCurve
from crqat_pipeline.reporting.run_report.heat_map import COLOUR_MAP
from crqat_pipeline.reporting.run_report.labelled_boxes import draw_labelled_boxes, draw_marked
from crqat_pipeline.reporting.run_report.themed_figure import LIGHT, form_colours

MIN_SIDE_PX = 384
TEACHER_COLOUR = "#2f9e8f"


def ap_figure(results: Results, forms: Forms) -> Figure:
    """Bars of AP by form, one panel per benchmark."""
    benchmarks = list(next(iter(results.values())))
    figure = Figure(figsize=(4.6 * len(benchmarks), 3.2), layout="constrained")
    axes_row = figure.subplots(1, len(benchmarks), squeeze=False)[0]
    for axes, benchmark in zip(axes_row, benchmarks, strict=True):
        by_form = {form: one[benchmark] for form, one in results.items()}
        labels = [forms.labels[form] for form in by_form]
        values = [100 * max(0.0, result.metrics["AP"]) for result in by_form.values()]
        bars = axes.barh(labels, values, color=["#8792a2" if form == forms.teacher else "#2f6f9e" for form in by_form])
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.invert_yaxis()
        axes.set_xlim(0, max([*values, 1.0]) * 1.15)
        axes.set_xlabel("AP in percent")
        axes.set_title(f"{benchmark} protocol")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def loss_sheet(curves: Sequence[LossCurve]) -> Figure:
    """One panel per trained stage; each loss by its name, total in black."""
    figure = Figure(figsize=(3.4 * max(1, len(curves)), 3.0), layout="constrained")
    axes_row = figure.subplots(1, max(1, len(curves)), squeeze=False)[0]
    for axes, curve in zip(axes_row, curves, strict=False):
        for name, values in curve.losses.items():
            axes.plot(curve.steps, values, label=name, color="black" if name == "loss" else None, linewidth=1.3)
        axes.set_title(curve.stage)
        axes.set_xlabel("step")
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def gallery_sheet(entries: Sequence[GalleryImage], threshold: float) -> Figure:
    """Rows of images, one column per form; what differs from the teacher is marked by colour and dashes."""
    forms = list(entries[0].detections) if entries else [""]
    heights = [entry.image.height / entry.image.width for entry in entries] or [1.0]
    figure = Figure(figsize=(3.6 * len(forms), 3.6 * sum(heights) + 0.4), layout="constrained")
    grid = figure.subplots(len(heights), len(forms), squeeze=False, height_ratios=heights)
    for axes_row in grid:
        for axes in axes_row:
            axes.axis("off")
    for axes_row, entry in zip(grid, entries, strict=False):
        scale = max(1, -(-MIN_SIDE_PX // min(entry.image.size)))
        image = entry.image.resize((entry.image.width * scale, entry.image.height * scale))
        shown = {name: found.above(threshold).scaled(scale) for name, found in entry.detections.items()}
        teacher = shown[forms[0]]
        for axes, name in zip(axes_row, forms, strict=True):
            found = shown[name]
            if name == forms[0]:
                colours = [TEACHER_COLOUR] * len(found.labels_M)
                picture = draw_labelled_boxes(image, found.boxes_xyxy_M4, found.labels_M, found.scores_M, colours)
            else:
                picture = draw_marked(image, compare_detections(teacher, found))
            axes.imshow(picture)
            if entry is entries[0]:
                axes.set_title(name)
    return figure


def alignment_sheets(summaries: Mapping[str, AlignmentSummary], forms: Sequence[str]) -> tuple[Figure, Figure]:
    """The paper's figures 1 and 3 on white; forms: all labels of the run, which decide the colours."""
    colours = form_colours(forms, LIGHT)
    sheets = alignment_figure(summaries, colours, LIGHT), distortion_figure(summaries, colours, LIGHT)
    for figure in sheets:
        figure.set_facecolor("white")
    return sheets


def heat_map_sheet(rows: Sequence[HeatMapRow], low: float, high: float) -> Figure:
    """The paper's figure 4: rows of images, the image and one column per form, one scale of colours for all."""
    titles = list(rows[0].pictures) if rows else [""]
    room_for_captions = ConstrainedLayoutEngine(hspace=0.07, rect=(0, 0.02, 1, 0.98))
    figure = Figure(figsize=(3.0 * len(titles) + 0.8, 3.35 * max(1, len(rows))), layout=room_for_captions)
    grid = figure.subplots(max(1, len(rows)), len(titles), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes_row, row in zip(grid, rows, strict=False):
        for axes, (title, picture) in zip(axes_row, row.pictures.items(), strict=True):
            axes.imshow(picture)
            if row is rows[0]:
                axes.set_title(title, fontsize=11)
        caption = axes_row[0].text(0, -0.02, row.title, transform=axes_row[0].transAxes, fontsize=9, va="top")
        caption.set_in_layout(False)  # it runs under the other pictures of its row
    scale = ScalarMappable(Normalize(low, high), COLOUR_MAP)
    figure.colorbar(scale, ax=grid[:, -1], shrink=0.8 / max(1, len(rows)) ** 0.5, label="cosine with the nearest class")
    return figure
