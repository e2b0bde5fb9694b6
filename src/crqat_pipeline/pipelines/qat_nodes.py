"""Nodes of the QAT pipeline."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.finished_stage import StageKeep
from crqat_pipeline.recipes.gathered import StageData
from crqat_pipeline.recipes.qat import run_stage
from crqat_pipeline.recipes.specs import QatStageSpec, RunSpec
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.training.tracker import Tracker


def train_stage(
    student_in: Checkpoint,
    teacher: Checkpoint,
    data: StageData,
    quantization: QuantSpec,
    spec: QatStageSpec,
    run: RunSpec,
    resume_folder: Path,
    tracker: Tracker,
) -> tuple[Checkpoint, dict[str, float], pd.DataFrame, pd.DataFrame]:
    """Student, summary metrics, loss curves and quantizer steps of one stage."""
    keep = StageKeep.beside(resume_folder, take=run.reuse)
    result = run_stage(student_in, teacher, data.training, data.calibration, quantization, spec, run, keep, tracker)
    return result.student, result.metrics, pd.DataFrame(result.history), pd.DataFrame(result.scales)
