"""Nodes of the evaluation stage."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.pipelines.evaluation.forms import FORM, HISTORY, without_prefix
from crqat_pipeline.recipes import evaluation_run, form_run, similarity
from crqat_pipeline.recipes.forms import Source
from crqat_pipeline.recipes.latency import measure_latency
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.reporting.run_report import assembly
from crqat_pipeline.reporting.run_report.terminal_table import terminal_table
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary

logger = logging.getLogger(__name__)

Annotations = Mapping[str, Any]
Facts = dict[str, Any]


def detect(
    vocabulary: Vocabulary,
    text_bank: TextBank,
    lvis_vocabulary: Vocabulary,
    lvis_text_bank: TextBank,
    val_images: ImageFolder,
    val_set: PreparedSplit,
    val_annotations: Annotations,
    val_annotations_lvis: Annotations | None,
    qat_images: ImageFolder,
    qat_set: PreparedSplit,
    spec: EvaluationSpec,
    run: RunSpec,
    resume_folder: Path,
    **forms: Source,
) -> tuple[dict[str, DetectionTable], Facts]:
    """Detections of every form on every benchmark, and what only the networks tell: cost and alignment."""
    benchmarks = {"coco": TrainingData(val_set, val_images, vocabulary, text_bank)}
    if val_annotations_lvis is not None:
        benchmarks["lvis"] = TrainingData(val_set, val_images, lvis_vocabulary, lvis_text_bank)
    if spec.on_training_images:
        benchmarks["train"] = TrainingData(qat_set, qat_images, vocabulary, text_bank)
    return form_run.run_forms(without_prefix(forms, FORM), benchmarks, spec, run, resume_folder, val_annotations)


def map_similarity(
    vocabulary: Vocabulary,
    text_bank: TextBank,
    val_images: ImageFolder,
    val_set: PreparedSplit,
    spec: EvaluationSpec,
    run: RunSpec,
    **forms: Source,
) -> Facts:
    """Where the pictured forms find the classes of the first validation images."""
    data = TrainingData(val_set, val_images, vocabulary, text_bank)
    return similarity.similarity_maps(without_prefix(forms, FORM), data, spec, run.device)


def time(
    vocabulary: Vocabulary,
    text_bank: TextBank,
    val_images: ImageFolder,
    val_set: PreparedSplit,
    spec: EvaluationSpec,
    **forms: Source,
) -> Facts:
    """Milliseconds per image of the timed forms on this machine."""
    data = TrainingData(val_set, val_images, vocabulary, text_bank)
    return measure_latency(without_prefix(forms, FORM), data, spec)


def score(
    detections: Mapping[str, DetectionTable],
    val_annotations: Annotations,
    val_annotations_lvis: Annotations | None,
    qat_annotations: Annotations,
    qat_set: PreparedSplit,
    vocabulary: Vocabulary,
    lvis_vocabulary: Vocabulary,
    form_facts: Facts,
    spec: EvaluationSpec,
) -> tuple[Facts, Facts, pd.DataFrame]:
    """All figures; their summary with size, cost and distance to the teacher; AP per category."""
    truths = {"coco": evaluation_run.truth(val_annotations, vocabulary)}
    if val_annotations_lvis is not None:
        truths["lvis"] = evaluation_run.truth(val_annotations_lvis, lvis_vocabulary)
    if spec.on_training_images:
        image_ids = qat_set.images.ids.tolist()
        truths["train"] = evaluation_run.truth(qat_annotations, vocabulary, image_ids)
    results = evaluation_run.evaluate_tables(detections, truths, spec)
    metrics = evaluation_run.summarize(results, form_facts, spec.compared)
    logger.info("%s", terminal_table(metrics, spec.compared.labels))
    return evaluation_run.results_as_json(results), metrics, evaluation_run.per_category(results)


def draw(
    detections: Mapping[str, DetectionTable],
    val_images: ImageFolder,
    val_annotations: Annotations,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    evaluation_results: Facts,
    form_facts: Facts,
    latency: Facts,
    similarity_maps: Facts,
    spec: EvaluationSpec,
    run: RunSpec,
    **histories: pd.DataFrame,
) -> dict[str, str | Figure]:
    """The report and its pictures, by the names of their datasets."""
    results = evaluation_run.results_from_json(evaluation_results)
    return assembly.draw(
        detections,
        val_images,
        val_annotations,
        vocabulary,
        text_bank,
        results,
        form_facts,
        latency,
        similarity_maps,
        without_prefix(histories, HISTORY),
        spec,
        run,
    )
