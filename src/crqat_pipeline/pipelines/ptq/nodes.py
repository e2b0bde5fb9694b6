"""Nodes of the ptq pipeline."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.evaluation_run import truth
from crqat_pipeline.recipes.ptq import compare_rules
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary

logger = logging.getLogger(__name__)


def compare(
    teacher: Checkpoint,
    qat_images: ImageFolder,
    calibration_set: PreparedSplit,
    val_images: ImageFolder,
    val_set: PreparedSplit,
    val_annotations: Mapping[str, Any],
    vocabulary: Vocabulary,
    text_bank: TextBank,
    qat_vocabulary: Vocabulary,
    qat_text_bank: TextBank,
    quantization: QuantSpec,
    spec: EvaluationSpec,
    run: RunSpec,
    resume_folder: Path,
) -> dict[str, dict[str, float]]:
    """COCO figures by calibration rule."""
    calibration = TrainingData(calibration_set, qat_images, qat_vocabulary, qat_text_bank)
    validation = TrainingData(val_set, val_images, vocabulary, text_bank)
    known = truth(val_annotations, vocabulary)
    metrics = compare_rules(teacher, calibration, validation, known, quantization, spec, run, resume_folder)
    for baseline, figures in metrics.items():
        logger.info("%-16s AP %.1f", baseline, 100 * figures["AP"])
    return metrics
