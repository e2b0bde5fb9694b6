"""The results page: every table, the whole grid, and what each number is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set

import pandas as pd
from matplotlib.figure import Figure

from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.reporting.study_page.figures import alignment_figure, differences_figure, rates_figure
from crqat_pipeline.reporting.study_page.pareto_figure import pareto_figure
from crqat_pipeline.study.comparison import Compared, adjusted_p_values, compare, grid
from crqat_pipeline.study.costs import MethodCost
from crqat_pipeline.study.spec import StudySpec, TableSpec
from crqat_pipeline.study.statistics import CONFIDENCE, Paired

ACCURACY = (("AP", "AP"), ("AP_qat", "seen"), ("AP_unseen", "unseen"), ("AP_novel", "novel"))
LVIS = (("lvis_AP", "LVIS AP"), ("lvis_APr", "APr"), ("lvis_APc", "APc"), ("lvis_APf", "APf"))
DISTANCES = (("region_text_mae", "region–text MAE"), ("region_region_mae", "region–region MAE"))
DIFFERENCES = (ACCURACY[0], ACCURACY[2], ACCURACY[3], *DISTANCES)
"""Figures in which methods are compared; each is one family of Holm's correction."""

Holding = Set[tuple[str, str]]
"""(method, figure) of the differences that hold after the correction."""


def results_page(
    cells: pd.DataFrame, study: StudySpec, quantization: QuantSpec, costs: Mapping[str, MethodCost]
) -> tuple[str, Figure, Figure, Figure, Figure]:
    """Markdown, and the figures of paired differences, of learning rates, of alignment, and of accuracy against cost.

    costs: of the methods of `study.pareto`.
    """
    compared = compare(cells, study)
    bits = (quantization.weight_bits, quantization.activation_bits, quantization.attention_bits)
    holding = {
        (name, figure)
        for figure, _ in DIFFERENCES
        for name, p_value in adjusted_p_values(compared, figure).items()
        if p_value <= 1 - CONFIDENCE
    }
    lines = [*_head(study, "-".join(map(str, bits))), *_pictures()]
    for table in study.tables:
        lines += _table(table, compared, holding)
    lines += _cost(study, compared, costs)
    lines += _corrected(compared)
    lines += _grid(cells, study, compared)
    lines += _unpaired(compared.values())
    lines += _failures(cells)
    shown = [compared[name] for name in study.tables[0].methods if name in compared]
    trained = [row for row in shown if study.methods[row.name].is_trained]  # PTQ would set the scale
    means = grid(cells, study, study.selection_metric)
    panels: dict[str, dict[str, list[float]]] = {}
    for name, values in means.items():
        method = study.methods[name]
        panels.setdefault("-".join(map(str, method.bits or bits)), {})[method.label] = values
    return (
        "\n".join(lines),
        differences_figure(trained),
        rates_figure(panels, study.rates(*study.methods)),
        alignment_figure(trained),
        pareto_figure([compared[name] for name in study.pareto.methods if name in compared], costs),
    )


def _head(study: StudySpec, bits: str) -> list[str]:
    seeds, tuning_seeds = (", ".join(map(str, some)) for some in (study.seeds, study.tuning_seeds))
    rates = ", ".join(f"{rate:g}" for rate in study.learning_rates)
    if any(method.further_rates for method in study.methods.values()):
        rates += " (and beyond, where the best lay at the edge)"
    text = f"""# Results of the study

Written by `kedro run --pipelines=study`; do not edit.

{study.about}

{bits} where a row says nothing else. Every method trains for {study.optimization.num_steps} steps of
{study.loader.batch_size} images on the same images, with seeds {seeds}. Learning rates were chosen among {rates} on
other seeds ({tuning_seeds}) and other images.

- AP in percent, mean ± standard deviation over seeds. Where there are splits: seen, categories of the QAT images;
  unseen, others that the teacher was trained on; novel, compositions that nobody was trained on.
- Δ: mean paired difference with its 95 % interval (Student's t) for this one comparison. Bold: it holds after Holm's
  correction for all methods that the page compares in this figure (adjusted p up to 0.05). An interval clear of zero
  that is not bold is what chance gives once in twenty.
- Δ AP, images: the same difference on images drawn with replacement, mean over seeds, and its middle 95 %. The interval
  over seeds says what another training gives, this one what other images of the kind may give.
- MAE: mean absolute difference of cosines from the teacher's.
- s: seconds of training on {study.threads} thread, {study.side_by_side} side by side, beside other work.
"""
    return [*text.splitlines(), ""]


def _pictures() -> list[str]:
    return [
        "![Paired differences](results/differences.png)",
        "",
        "![Learning rates](results/rates.png)",
        "",
        "![Alignment and AP](results/alignment.png)",
        "",
    ]


def _table(table: TableSpec, compared: dict[str, Compared], holding: Holding) -> list[str]:
    rows = [compared[name] for name in table.methods if name in compared]
    missing = [name for name in table.methods if name not in compared]
    lines = [f"## {table.title}", "", table.note, ""] if table.note else [f"## {table.title}", ""]
    if not rows:
        return [*lines, "Not run.", ""]
    accuracy, lvis = _measured(ACCURACY, compared), _measured(LVIS, compared)
    differing = [(figure, title) for figure, title in accuracy if (figure, title) in DIFFERENCES]
    drawn = any(row.image_draws for row in compared.values())
    lines += _markdown(
        [
            *("", "rate", *(title for _, title in accuracy), *(f"Δ {title}" for _, title in differing)),
            *(["Δ AP, images"] if drawn else []),
        ],
        (
            [
                row.label,
                f"{row.learning_rate:g}" if row.learning_rate else "–",
                *(_percent(row, figure) for figure, _ in accuracy),
                *(_difference(row, figure, 100, 2, holding) for figure, _ in differing),
                *([_over_images(row)] if drawn else []),
            ]
            for row in rows
        ),
    )
    lines += _markdown(
        ["", *(title for _, title in (*lvis, *DISTANCES)), "Δ region–text", "Δ region–region", "s"],
        (
            [
                row.label,
                *(_percent(row, figure) for figure, _ in lvis),
                *(_number(row.mean(figure), 4) for figure, _ in DISTANCES),
                *(_difference(row, figure, 1, 4, holding) for figure, _ in DISTANCES),
                _number(row.mean("seconds"), 0),
            ]
            for row in rows
        ),
    )
    if missing:
        lines += [f"Not run: {', '.join(missing)}.", ""]
    return lines


def _measured(figures: Sequence[tuple[str, str]], compared: Mapping[str, Compared]) -> list[tuple[str, str]]:
    """Those that some method has: data without splits has no figures of them."""
    return [one for one in figures if any(row.figures.get(one[0]) for row in compared.values())]


def _over_images(row: Compared) -> str:
    between = row.difference_over_images()
    return "–" if between is None else f"[{100 * between[0]:+.2f}, {100 * between[1]:+.2f}]"


def _cost(study: StudySpec, compared: Mapping[str, Compared], costs: Mapping[str, MethodCost]) -> list[str]:
    accuracy = _measured(ACCURACY, compared)
    lines = [
        "## Accuracy against cost",
        "",
        "Size in 2^20 bytes and bit operations of one image, from shapes and widths alone.",
        "",
        "![Accuracy against cost](results/pareto.png)",
        "",
    ]
    head = ["", "MB", *(f"GBOPs, {prompts} prompts" for prompts in study.pareto.prompts)]
    rows = [
        [
            compared[name].label,
            _number(costs[name].size_mb, 3),
            *(_number(costs[name].bops_g[prompts], 2) for prompts in study.pareto.prompts),
            *(_percent(compared[name], figure) for figure, _ in accuracy),
        ]
        for name in study.pareto.methods
        if name in compared
    ]
    return lines + _markdown([*head, *(title for _, title in accuracy)], rows)


def _corrected(compared: Mapping[str, Compared]) -> list[str]:
    lines = [
        "## What holds after Holm's correction",
        "",
        "Every difference whose own interval is clear of zero, with its p-value alone and after the correction for all "
        "methods compared in that figure.",
        "",
    ]
    rows = []
    for figure, title in DIFFERENCES:
        p_values = adjusted_p_values(compared, figure)
        factor, digits = (1, 4) if (figure, title) in DISTANCES else (100, 2)
        for name in sorted(p_values, key=lambda one: p_values[one]):
            paired = compared[name].difference(figure)
            if paired is not None and paired.is_clear:
                holds = "yes" if p_values[name] <= 1 - CONFIDENCE else "no"
                shown = (_interval(paired, factor, digits), f"{paired.p_value:.2g}", f"{p_values[name]:.2g}")
                rows.append([f"{title}, of {len(p_values)}", compared[name].label, *shown, holds])
    if not rows:
        return [*lines[:2], "No interval is clear of zero.", ""]
    return lines + _markdown(["figure", "", "Δ", "p", "p (Holm)", "holds"], rows)


def _grid(cells: pd.DataFrame, study: StudySpec, compared: dict[str, Compared]) -> list[str]:
    lines = [
        "## The grid of learning rates",
        "",
        f"{study.selection_metric} on the {study.tuning_images} tuning images, mean of seeds "
        f"{', '.join(map(str, study.tuning_seeds))}; bold: chosen.",
        "",
    ]
    rows, rates = [], study.rates(*study.methods)
    for name, values in grid(cells, study, study.selection_metric).items():
        chosen = compared[name].learning_rate if name in compared else math.nan
        cells_of_row = [
            f"**{100 * value:.1f}**" if rate == chosen else _number(100 * value, 1)
            for rate, value in zip(rates, values, strict=True)
        ]
        rows.append([study.methods[name].label, *cells_of_row])
    return lines + _markdown(["", *(f"{rate:g}" for rate in rates)], rows)


def _unpaired(compared: Iterable[Compared]) -> list[str]:
    apart = [(row, row.seeds_of_other_teachers) for row in compared if row.seeds_of_other_teachers]
    if not apart:
        return []
    reason = "Their teacher's weights are not those of the reference's teacher."
    lines = ["## Seeds that are not paired", "", reason, ""]
    return [*lines, *(f"- {row.label}: {', '.join(map(str, seeds))}" for row, seeds in apart), ""]


def _failures(cells: pd.DataFrame) -> list[str]:
    failed = cells[cells["failed"].fillna("").astype(str) != ""]
    if failed.empty:
        return []
    lines = ["## Cells that diverged", ""]
    lines += [
        f"- {row.method}, rate {row.learning_rate:g}, seed {row.seed}: {row.failed}" for row in failed.itertuples()
    ]
    return [*lines, ""]


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def _percent(row: Compared, figure: str) -> str:
    mean, deviation = 100 * row.mean(figure), 100 * row.deviation(figure)
    return f"{mean:.1f} ± {deviation:.1f}" if math.isfinite(deviation) else _number(mean, 1)


def _difference(row: Compared, figure: str, factor: float, digits: int, holding: Holding) -> str:
    paired = row.difference(figure)
    if paired is None:
        return "–"
    text = _interval(paired, factor, digits)
    return f"**{text}**" if (row.name, figure) in holding else text


def _interval(paired: Paired, factor: float, digits: int) -> str:
    mean, low, high = (factor * value for value in (paired.mean, paired.low, paired.high))
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
