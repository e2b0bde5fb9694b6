"""Nodes that look at the quantizers of a student: after a training, or after calibration alone."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.recipes.inspecting import inspect_student
from crqat_pipeline.recipes.specs import DiagnosticsSpec, PtqSpec, QatStageSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.reporting.layer_map import history_heat_map, layer_heat_map
from crqat_pipeline.structures.checkpoint import Checkpoint

DIAGNOSTICS = ("layers", "groups", "layer_metrics", "layer_map")
"""What an inspection gives: a row per quantizer, a row per group, a few figures, a picture."""
Diagnostics = tuple[pd.DataFrame, pd.DataFrame, dict[str, float], Figure]


def inspect_trained(
    student: Checkpoint, calibration: TrainingData, train: QatStageSpec, spec: DiagnosticsSpec, run: RunSpec
) -> Diagnostics:
    """DIAGNOSTICS of the student of a stage, on images of the size that it was trained on."""
    return _inspect(student, calibration, train.loader, spec, run)


def inspect_calibrated(
    student: Checkpoint, calibration: TrainingData, ptq: PtqSpec, spec: DiagnosticsSpec, run: RunSpec
) -> Diagnostics:
    """DIAGNOSTICS of a student that was calibrated and not trained."""
    return _inspect(student, calibration, LoaderSpec(image_size_px=ptq.image_size_px), spec, run)


def draw_scales(scales: pd.DataFrame) -> Figure:
    """The steps of every quantizer over the training."""
    return history_heat_map(scales.to_dict("records"))


def _inspect(
    student: Checkpoint, calibration: TrainingData, loader: LoaderSpec, spec: DiagnosticsSpec, run: RunSpec
) -> Diagnostics:
    found = inspect_student(student, calibration, loader, spec, run)
    return pd.DataFrame(found.layers), pd.DataFrame(found.groups), found.metrics, layer_heat_map(found.layers)
