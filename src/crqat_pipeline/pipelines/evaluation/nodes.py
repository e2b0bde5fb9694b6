"""Nodes of the evaluation stage."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.pipelines.evaluation.forms import FORM, GROUPS_OF, HISTORY, LAYERS_OF, without_prefix
from crqat_pipeline.recipes import evaluation_run, form_run, group_run, similarity
from crqat_pipeline.recipes.forms import Source
from crqat_pipeline.recipes.gathered import Benchmark, Measured
from crqat_pipeline.recipes.latency import measure_latency
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.reporting.model_card.figures import with_figures
from crqat_pipeline.reporting.run_report import assembly
from crqat_pipeline.reporting.run_report.terminal_table import terminal_table

results = logging.getLogger("crqat_pipeline.results")
"""What a run is made for; the console shows it last (hooks/console.py)."""

Facts = dict[str, Any]


def detect(
    val: Benchmark,
    lvis: Benchmark,
    qat: Benchmark,
    spec: EvaluationSpec,
    run: RunSpec,
    resume_folder: Path,
    **forms: Source,
) -> tuple[dict[str, DetectionTable], Facts]:
    """Detections of every form on every benchmark, and what only the networks tell: cost and alignment."""
    benchmarks = _benchmarks(val, lvis, qat, spec)
    return form_run.run_forms(without_prefix(forms, FORM), benchmarks, spec, run, resume_folder)


def _benchmarks(val: Benchmark, lvis: Benchmark, qat: Benchmark, spec: EvaluationSpec) -> dict[str, Benchmark]:
    """Those that are asked for, by the name that figures have."""
    asked = {"coco": True, "lvis": lvis.annotations is not None, "train": spec.on_training_images}
    return {name: one for name, one in {"coco": val, "lvis": lvis, "train": qat}.items() if asked[name]}


def map_similarity(data: Benchmark, spec: EvaluationSpec, run: RunSpec, **forms: Source) -> Facts:
    """Where the pictured forms find the classes of the first validation images."""
    return similarity.similarity_maps(without_prefix(forms, FORM), data, spec, run.device)


def time(data: Benchmark, spec: EvaluationSpec, **forms: Source) -> Facts:
    """Milliseconds per image of the timed forms on this machine."""
    return measure_latency(without_prefix(forms, FORM), data, spec)


def score_groups(
    data: Benchmark, spec: EvaluationSpec, run: RunSpec, resume_folder: Path, **forms: Source
) -> pd.DataFrame:
    """AP with one group of quantizers on at a time, of the forms that are asked for it."""
    rows = group_run.group_figures(without_prefix(forms, FORM), data, spec, run, resume_folder)
    return pd.DataFrame(rows, columns=list(group_run.COLUMNS))


def score(
    detections: Mapping[str, DetectionTable],
    form_facts: Facts,
    val: Benchmark,
    lvis: Benchmark,
    qat: Benchmark,
    spec: EvaluationSpec,
) -> tuple[Facts, Facts, Facts, pd.DataFrame]:
    """All figures; their summary with size, cost and distance to the teacher; AP of each form; AP per category."""
    truths = {name: evaluation_run.truth_of(one) for name, one in _benchmarks(val, lvis, qat, spec).items()}
    scored = evaluation_run.evaluate_tables(detections, truths, spec)
    metrics = evaluation_run.summarize(scored, form_facts, spec.compared)
    results.info("%s", terminal_table(metrics, spec.compared.labels))
    by_category = evaluation_run.per_category(scored)
    return evaluation_run.results_as_json(scored), metrics, evaluation_run.ap_by_form(metrics), by_category


def draw(
    detections: Mapping[str, DetectionTable],
    data: Benchmark,
    measured: Measured,
    spec: EvaluationSpec,
    run: RunSpec,
    **tables: pd.DataFrame,
) -> dict[str, str | Figure]:
    """The report and its pictures, by the names of their datasets."""
    groups = without_prefix(tables, GROUPS_OF)
    told = assembly.Told(
        histories=without_prefix(tables, HISTORY),
        layers={form: (layers, groups[form]) for form, layers in without_prefix(tables, LAYERS_OF).items()},
    )
    return assembly.draw(detections, data, measured, told, spec, run)


def complete_card(card: Path, results: Facts, spec: EvaluationSpec) -> str:
    """The model card with the figures of the teacher and of the files that it describes."""
    forms = spec.compared
    shown = [name for name in (forms.teacher, *forms.having("deliverable")) if name in results]
    known = evaluation_run.results_from_json({name: results[name] for name in shown})
    return with_figures(card.read_text(encoding="utf-8"), {forms.labels[name]: known[name] for name in shown})
