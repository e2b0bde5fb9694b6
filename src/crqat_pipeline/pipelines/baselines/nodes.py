"""Nodes of the baselines that do not train."""

from __future__ import annotations

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.qat import post_training_quantization
from crqat_pipeline.recipes.specs import PtqSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary


def calibrate_only(
    teacher: Checkpoint,
    images: ImageFolder,
    calibration_set: PreparedSplit,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    quantization: QuantSpec,
    run: RunSpec,
    spec: PtqSpec,
) -> Checkpoint:
    """The teacher, quantized by calibration alone."""
    calibration = TrainingData(calibration_set, images, vocabulary, text_bank)
    return post_training_quantization(teacher, calibration, quantization, run, spec.image_size_px)
