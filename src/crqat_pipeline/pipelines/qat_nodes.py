"""Nodes of the QAT pipeline."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.finished_stage import StageKeep
from crqat_pipeline.recipes.inspecting import inspect_student
from crqat_pipeline.recipes.qat import run_stage
from crqat_pipeline.recipes.specs import QatStageSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.reporting.layer_map import history_heat_map, layer_heat_map
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from crqat_pipeline.training.tracker import Tracker


def train_stage(
    student_in: Checkpoint,
    teacher: Checkpoint,
    images: ImageFolder,
    qat_set: PreparedSplit,
    calibration_set: PreparedSplit,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    quantization: QuantSpec,
    spec: QatStageSpec,
    run: RunSpec,
    resume_folder: Path,
    tracker: Tracker,
) -> tuple[Checkpoint, dict[str, float], pd.DataFrame, pd.DataFrame]:
    """Student, summary metrics, loss curves and quantizer steps of one stage."""
    data = TrainingData(qat_set, images, vocabulary, text_bank)
    calibration = TrainingData(calibration_set, images, vocabulary, text_bank)
    keep = StageKeep.beside(resume_folder, take=run.reuse)
    result = run_stage(student_in, teacher, data, calibration, quantization, spec, run, keep, tracker)
    return result.student, result.metrics, pd.DataFrame(result.history), pd.DataFrame(result.scales)


def inspect(
    student: Checkpoint,
    scales: pd.DataFrame,
    images: ImageFolder,
    calibration_set: PreparedSplit,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    spec: QatStageSpec,
    run: RunSpec,
) -> tuple[pd.DataFrame, Figure, Figure]:
    """Every quantizer on the calibration images: a table, a heat map by layer, a heat map over time."""
    calibration = TrainingData(calibration_set, images, vocabulary, text_bank)
    rows = inspect_student(student, calibration, spec, run)
    return pd.DataFrame(rows), layer_heat_map(rows), history_heat_map(scales.to_dict("records"))
