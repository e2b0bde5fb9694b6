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
from crqat_pipeline.recipes import evaluation_run, form_run, report_page, similarity
from crqat_pipeline.recipes.latency import measure_latency
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.summary_table import summary_table
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary

logger = logging.getLogger(__name__)

Annotations = Mapping[str, Any]
Facts = dict[str, Any]


def detect(
    teacher: Checkpoint,
    finetuned: Checkpoint,
    ptq: Checkpoint,
    qat: Checkpoint,
    crqat: Checkpoint,
    int4: Path,
    onnx: Path,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    lvis_vocabulary: Vocabulary,
    lvis_text_bank: TextBank,
    val_images: ImageFolder,
    val_set: PreparedSplit,
    val_annotations: Annotations,
    qat_images: ImageFolder,
    qat_set: PreparedSplit,
    spec: EvaluationSpec,
    run: RunSpec,
    resume_folder: Path,
) -> tuple[dict[str, DetectionTable], Facts]:
    """Detections of every form on every benchmark, and what only the networks tell: cost and alignment."""
    sources: dict[str, Checkpoint | Path] = {
        "teacher": teacher,
        "finetuned": finetuned,
        "ptq": ptq,
        "qat": qat,
        "crqat": crqat,
        "int4": int4,
    }
    benchmarks = {
        "coco": TrainingData(val_set, val_images, vocabulary, text_bank),
        "lvis": TrainingData(val_set, val_images, lvis_vocabulary, lvis_text_bank),
    }
    if spec.on_training_images:
        benchmarks["train"] = TrainingData(qat_set, qat_images, vocabulary, text_bank)
    return form_run.run_forms(sources, onnx, benchmarks, spec, run, resume_folder, val_annotations)


def map_similarity(
    teacher: Checkpoint,
    qat: Checkpoint,
    crqat: Checkpoint,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    val_images: ImageFolder,
    val_set: PreparedSplit,
    spec: EvaluationSpec,
    run: RunSpec,
) -> Facts:
    """Where teacher, QAT and CR-QAT find the classes of the first validation images."""
    sources = {"teacher": teacher, "qat": qat, "crqat": crqat}
    data = TrainingData(val_set, val_images, vocabulary, text_bank)
    return similarity.similarity_maps(sources, data, spec, run.device)


def time(
    teacher: Checkpoint,
    crqat: Checkpoint,
    onnx: Path,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    val_images: ImageFolder,
    val_set: PreparedSplit,
    spec: EvaluationSpec,
) -> Facts:
    """Milliseconds per image of the full-precision, the fake-quantized and the integer form on this machine."""
    data = TrainingData(val_set, val_images, vocabulary, text_bank)
    return measure_latency({"teacher": teacher, "crqat": crqat}, onnx, data, spec)


def score(
    detections: Mapping[str, DetectionTable],
    val_annotations: Annotations,
    val_annotations_lvis: Annotations,
    qat_annotations: Annotations,
    qat_set: PreparedSplit,
    vocabulary: Vocabulary,
    lvis_vocabulary: Vocabulary,
    form_facts: Facts,
    spec: EvaluationSpec,
) -> tuple[Facts, Facts, pd.DataFrame]:
    """All figures; their summary with size, cost and distance to the teacher; AP per category."""
    truths = {
        "coco": evaluation_run.truth(val_annotations, vocabulary),
        "lvis": evaluation_run.truth(val_annotations_lvis, lvis_vocabulary),
    }
    if spec.on_training_images:
        image_ids = qat_set.images.ids.tolist()
        truths["train"] = evaluation_run.truth(qat_annotations, vocabulary, image_ids)
    results = evaluation_run.evaluate_tables(detections, truths, spec)
    metrics = evaluation_run.summarize(results, form_facts)
    logger.info("%s", summary_table(metrics))
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
    teacher_history: pd.DataFrame,
    finetuned_history: pd.DataFrame,
    qat_history: pd.DataFrame,
    stage1_history: pd.DataFrame,
    stage2_history: pd.DataFrame,
    spec: EvaluationSpec,
    run: RunSpec,
) -> dict[str, str | Figure]:
    """The report and its pictures, by the names of their datasets."""
    histories = {
        "teacher": teacher_history,
        "finetuned": finetuned_history,
        "qat": qat_history,
        "stage1_backbone": stage1_history,
        "stage2_neck_head": stage2_history,
    }
    results = evaluation_run.results_from_json(evaluation_results)
    return report_page.draw(
        detections,
        val_images,
        val_annotations,
        vocabulary,
        text_bank,
        results,
        form_facts,
        latency,
        similarity_maps,
        histories,
        spec,
        run,
    )
