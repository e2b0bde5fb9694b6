"""Which layer of a student breaks: noise, clipping and used levels of every quantizer, and its steps over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.quantization.diagnostics import quantizer_rows
from crqat_pipeline.quantization.layer_map import history_heat_map, layer_heat_map
from crqat_pipeline.recipes.qat import calibration_inputs
from crqat_pipeline.recipes.specs import QatStageSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.structures.checkpoint import Checkpoint

Row = dict[str, Any]


def inspect_student(
    student: Checkpoint,
    scales: Sequence[Mapping[Any, Any]],
    calibration: TrainingData,
    spec: QatStageSpec,
    run: RunSpec,
) -> tuple[list[Row], Figure, Figure]:
    """One row per quantizer, its heat map by layer, and the heat map of the steps over the stage."""
    device = choose_device(run.device)
    detector = rebuild(student).detector.to(device)
    rows = quantizer_rows(detector, calibration_inputs(calibration, spec.loader, device))
    return rows, layer_heat_map(rows), history_heat_map([dict(row) for row in scales])
