"""Which layer of a student breaks: noise, clipping and used levels of every quantizer."""

from __future__ import annotations

from typing import Any

from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.quantization.diagnostics import quantizer_rows
from crqat_pipeline.recipes.qat import calibration_inputs
from crqat_pipeline.recipes.specs import QatStageSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.structures.checkpoint import Checkpoint

Row = dict[str, Any]


def inspect_student(student: Checkpoint, calibration: TrainingData, spec: QatStageSpec, run: RunSpec) -> list[Row]:
    """One row per quantizer, measured on the calibration images."""
    device = choose_device(run.device)
    detector = rebuild(student).detector.to(device)
    return quantizer_rows(detector, calibration_inputs(calibration, spec.loader, device))
