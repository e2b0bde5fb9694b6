"""The node of the teacher stage."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crqat_pipeline.recipes.finished_stage import StageKeep
from crqat_pipeline.recipes.specs import NamedBuilderSpec, RunSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.teacher import make_teacher
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.training.tracker import Tracker


def train_or_load(
    data: TrainingData,
    detector: NamedBuilderSpec,
    spec: TeacherSpec,
    run: RunSpec,
    resume_folder: Path,
    tracker: Tracker,
) -> tuple[Checkpoint, dict[str, float], pd.DataFrame]:
    """Teacher weights, summary metrics and loss curves."""
    keep = StageKeep.beside(resume_folder, take=run.reuse)
    result = make_teacher(detector, data, spec, run, keep, tracker)
    return result.student, result.metrics, pd.DataFrame(result.history)
