"""The tables of a report: figures as text, with what is best and what changed most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crqat_pipeline.evaluation.result import CategoryResult
from crqat_pipeline.reporting.run_report.content import ReportData, ReportForm

NOTHING = "–"
FIGURE_NAMES = {
    "AP": "mean over IoU thresholds 0.50 to 0.95 and categories",
    "AP50": "at IoU 0.50",
    "AP75": "at IoU 0.75",
    "APr": "rare categories (in 10 training images or fewer)",
    "APc": "common categories (11 to 100 training images)",
    "APf": "frequent categories (over 100 training images)",
}
SPLIT_NAMES = {"qat": "seen"}
"""Split -> its name in every table, where that is another one."""
LVIS_ALONE = ("APr", "APc", "APf")
"""Figures that only LVIS has: their names need no protocol."""


@dataclass(frozen=True)
class Cell:
    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Column:
    title: str
    meaning: str


@dataclass(frozen=True)
class Change:
    """A category's AP against the teacher's, in points (percent); width: of its bar, 0 to 100."""

    category: CategoryResult
    teacher_ap: float
    delta: float
    width: float


def percent(value: float | None, digits: int = 1) -> str:
    """A figure in [0, 1] as percent; a dash for what was not measured (None, NaN or -1)."""
    return NOTHING if not is_measured(value) else f"{100 * (value or 0.0):.{digits}f}"


def is_measured(value: float | None) -> bool:
    return value is not None and not math.isnan(value) and value > -1.0


def figure_columns(forms: Sequence[ReportForm]) -> list[str]:
    """AP, AP50, AP75, AP per frequency, then every category split, if any form has them."""
    keys = {key for form in forms for key in form.evaluation.metrics}
    return [key for key in FIGURE_NAMES if key in keys] + sorted(key for key in keys if key.startswith("AP_"))


def title_of(key: str, *, is_beside_coco: bool) -> str:
    """The column of a figure, named as in the terminal: LVIS's figures say so where COCO's stand beside them."""
    split = key.removeprefix("AP_")
    name = SPLIT_NAMES.get(split, split)
    return f"LVIS {name}" if is_beside_coco and key not in LVIS_ALONE else name


def headline(data: ReportData) -> tuple[list[Column], dict[str, list[Cell]]]:
    """Columns, and a row of cells per form; the best form beside the teacher is marked in each column."""
    keys = figure_columns(data.forms)
    splits = {f"AP_{name}": meaning for name, meaning in data.split_meanings.items()}
    meanings = FIGURE_NAMES | splits
    others_keys = list(dict.fromkeys(title for form in data.forms for title in form.other_figures))
    columns = [Column(title, "by COCO's protocol, as in the terminal") for title in others_keys]
    columns += [
        Column(title_of(key, is_beside_coco=bool(others_keys)), meanings.get(key, "AP of these categories"))
        for key in keys
    ]
    values = {
        form.name: [
            *(form.other_figures.get(title) for title in others_keys),
            *(form.evaluation.metrics.get(key) for key in keys),
        ]
        for form in data.forms
    }
    unit, factor, power = bop_unit(data.forms)
    bops = {form.name: None if form.bops_t is None else factor * form.bops_t for form in data.forms}
    costs: list[tuple[str, str, dict[str, float | None]]] = [
        ("MB", "2^20 bytes: of the weights at their bits; of files, on disk", {f.name: f.size_mb for f in data.forms}),
        (f"{unit}BOPs", f"{power} bit operations per image", bops),
        ("ms", f"per image, {data.latency_where}".rstrip(", "), {form.name: form.latency_ms for form in data.forms}),
    ]
    rows = {form.name: [Cell(percent(value)) for value in values[form.name]] for form in data.forms}
    others = [form.name for form in data.forms if form.name != data.teacher]
    for position in range(len(columns)):
        measured = {name: values[name][position] for name in others if is_measured(values[name][position])}
        _mark(rows, position, _extreme(measured, sign=1.0))
    for title, meaning, cost in costs:
        if any(value is not None for value in cost.values()):
            columns.append(Column(title, meaning))
            for name, value in cost.items():
                rows[name].append(Cell(NOTHING if value is None else _number(value)))
            _mark(rows, -1, _extreme({name: cost[name] for name in others}, sign=-1.0))
    return columns, rows


def _extreme(values: Mapping[str, float | None], sign: float) -> list[str]:
    """The names with the largest value (sign 1) or the smallest (sign -1); none where all are equal."""
    signed = {name: sign * value for name, value in values.items() if value is not None}
    if len(signed) > 1 and len(set(signed.values())) == 1:
        return []
    return [name for name, value in signed.items() if value == max(signed.values())]


def _mark(rows: dict[str, list[Cell]], position: int, best: Sequence[str]) -> None:
    for name in best:
        rows[name][position] = Cell(rows[name][position].text, is_best=True)


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def bop_unit(forms: Sequence[ReportForm]) -> tuple[str, float, str]:
    """(letter, factor from 10^12, power in words): small detectors are counted in 10^9."""
    largest = max((form.bops_t for form in forms if form.bops_t is not None), default=1.0)
    return ("T", 1.0, "10^12") if largest >= 1.0 else ("G", 1000.0, "10^9")


def cards(data: ReportData) -> list[tuple[str, str, str]]:
    """(what and of which form, figure, what it means against the teacher)."""
    main, teacher = data.form(data.main), data.form(data.teacher)
    ap, whole = main.evaluation.metrics["AP"], teacher.evaluation.metrics["AP"]
    share = f"{100 * ap / whole:.0f} % of {teacher.name}" if whole > 0 and ap >= 0 else ""
    shown = [(f"{title_of('AP', is_beside_coco=bool(main.other_figures))} of {main.name}", percent(ap), share)]
    unit, factor, _ = bop_unit(data.forms)
    compared = [
        ("Size", "MB", 1.0, main, main.size_mb, teacher.size_mb, ("smaller", "larger")),
        ("Bit operations", unit, factor, main, main.bops_t, teacher.bops_t, ("fewer", "more")),
    ]
    if data.deployed is not None:
        form = data.form(data.deployed)
        compared.append(("Latency", "ms", 1.0, form, form.latency_ms, teacher.latency_ms, ("faster", "slower")))
    for what, unit, factor, form, own, other, words in compared:
        if own is not None:
            shown.append((f"{what} of {form.name}", f"{_number(factor * own)} {unit}", _ratio(own, other, words)))
    return shown


def _ratio(own: float, other: float | None, words: tuple[str, str]) -> str:
    """How often the smaller goes into the larger, and what that is called."""
    if not own or not other:
        return ""
    return f"{other / own:.1f} × {words[0]}" if other >= own else f"{own / other:.1f} × {words[1]}"


def changes(data: ReportData, form: ReportForm, limit: int = 8) -> tuple[list[Change], list[Change]]:
    """(lost most, gained most): categories with objects whose AP differs from the teacher's."""
    before = {row.category_id: row.ap for row in data.form(data.teacher).evaluation.per_category}
    measured = [
        (row, before[row.category_id], 100 * (row.ap - before[row.category_id]))
        for row in form.evaluation.per_category
        if is_measured(row.ap) and is_measured(before.get(row.category_id))
    ]
    largest = max((abs(delta) for *_, delta in measured), default=0.0) or 1.0
    ordered = sorted(measured, key=lambda one: (one[2], one[0].category_id))
    as_changes = [Change(row, teacher_ap, delta, 100 * abs(delta) / largest) for row, teacher_ap, delta in ordered]
    lost = [one for one in as_changes if one.delta < 0][:limit]
    return lost, [one for one in reversed(as_changes) if one.delta > 0][:limit]
