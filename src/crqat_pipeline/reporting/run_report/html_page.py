"""The report of an evaluation: one HTML file that opens anywhere, without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from crqat_pipeline.evaluation.alignment import AlignmentSummary
from crqat_pipeline.evaluation.protocol import PROTOCOLS
from crqat_pipeline.reporting.run_report.alignment_figure import alignment_figure, distortion_figure
from crqat_pipeline.reporting.run_report.content import ReportData
from crqat_pipeline.reporting.run_report.heat_map import scale_colours
from crqat_pipeline.reporting.run_report.html_pictures import ThemedPicture, gallery_panels, heat_map_panels, themed
from crqat_pipeline.reporting.run_report.html_tables import cards, changes, headline, is_measured, percent
from crqat_pipeline.reporting.run_report.labelled_boxes import MARK_COLOURS
from crqat_pipeline.reporting.run_report.themed_figure import (
    DARK,
    LIGHT,
    Theme,
    bar_figure,
    form_colours,
    loss_figure,
)
from crqat_pipeline.reporting.run_report.which_layers import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AlignmentDrawing: TypeAlias = "Callable[[Mapping[str, AlignmentSummary], Mapping[str, str], Theme], Figure]"
FREQUENCIES = {"APr": "rare", "APc": "common", "APf": "frequent"}
SIZES = {"APs": "small", "APm": "medium", "APl": "large"}


def render_report(report: ReportData) -> str:
    """One offline HTML page: headline table, bars, changed categories, losses, confusions, gallery, alignment.

    Sections whose data is empty are left out. Raises ValueError if the gallery lacks the teacher.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "short": short}
    environment.tests["measured"] = is_measured
    template = environment.from_string(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    return template.render(**_content(report))


def _content(report: ReportData) -> dict[str, Any]:
    names = [form.name for form in report.forms]
    columns, rows = headline(report)
    evaluation = report.form(report.main).evaluation
    students = [form for form in report.forms if form.name != report.teacher]
    return {
        "report": report,
        "protocol": PROTOCOLS[evaluation.protocol].meaning,
        "evaluation": evaluation,
        "cards": cards(report),
        "columns": columns,
        "rows": rows,
        "colours": {name: (form_colours(names, LIGHT)[name], form_colours(names, DARK)[name]) for name in names},
        "bars": _bars(report),
        "changes": {form.name: changes(report, form) for form in students},
        "losses": {
            curve.stage: themed(partial(loss_figure, curve), f"Losses of {curve.stage}") for curve in report.loss_curves
        },
        "gallery": {entry.title: gallery_panels(entry, report) for entry in report.gallery},
        "marks": MARK_COLOURS,
        "alignment": _alignment(report, names),
        "scale_colours": scale_colours() if report.heat_maps else [],
        "heat_maps": {row.title: heat_map_panels(row) for row in report.heat_maps},
        "notes": _notes(report),
    }


def _bars(report: ReportData) -> dict[str, ThemedPicture]:
    """One picture per way of grouping; groups that no form has a figure for are left out."""
    pictures = {}
    for title, keys in (("By frequency in training", FREQUENCIES), ("By object size", SIZES)):
        metrics = {form.name: form.evaluation.metrics for form in report.forms}
        shown = [key for key in keys if any(is_measured(one.get(key)) for one in metrics.values())]
        values = {name: [_in_percent(one.get(key)) for key in shown] for name, one in metrics.items()}
        if shown:
            draw = partial(_draw_bars, [keys[key] for key in shown], values)
            pictures[title] = themed(draw, f"AP {title.lower()} for each form")
    return pictures


def _draw_bars(labels: list[str], values: dict[str, list[float]], theme: Theme) -> Figure:
    return bar_figure(labels, values, form_colours(list(values), theme), theme)


def _in_percent(value: float | None) -> float:
    return 100 * value if value is not None and is_measured(value) else float("nan")


def _alignment(report: ReportData, names: list[str]) -> list[tuple[str, ThemedPicture]]:
    """(caption, picture) of the paper's figures 1 and 3."""
    if not report.alignment:
        return []
    drawings = (
        ("Each form against the teacher", alignment_figure),
        ("One dot per image and category: mean change of its cosines against mean change of its scores; ρ: Spearman's "
         "rank correlation of the two", distortion_figure),
    )  # fmt: skip
    return [(caption, themed(partial(_draw_alignment, draw, report, names), caption)) for caption, draw in drawings]


def _draw_alignment(draw: AlignmentDrawing, report: ReportData, names: list[str], theme: Theme) -> Figure:
    return draw(report.alignment, form_colours(names, theme), theme)


def _notes(report: ReportData) -> list[str]:
    """Each note once, with the forms it holds for unless it holds for all."""
    owners: dict[str, list[str]] = {}
    for form in report.forms:
        for note in form.evaluation.notes:
            owners.setdefault(note, []).append(form.name)
    return [
        note if len(names) == len(report.forms) else f"{', '.join(names)}: {note}" for note, names in owners.items()
    ]
