"""Nodes of the bit_allocation pipeline."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from crqat_pipeline.allocation import AllocationSpec
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.allocating import allocate_widths
from crqat_pipeline.recipes.specs import RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.widths_file import parameters_of
from crqat_pipeline.reporting.allocation_figure import allocation_figure
from crqat_pipeline.structures.checkpoint import Checkpoint

logger = logging.getLogger(__name__)


def choose(
    teacher: Checkpoint,
    calibration: TrainingData,
    quantization: QuantSpec,
    spec: AllocationSpec,
    run: RunSpec,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, float], Any]:
    """Parameters with the chosen widths, one row per layer, figures, picture."""
    result = allocate_widths(teacher, calibration, quantization, spec, run)
    figures = result.metrics
    logger.info(
        "%.3f MB and %.2f GBOPs (uniform: %.3f and %.2f). Movement of the answers before training: %.3f, "
        "predicted %.3f, with pairs %.3f (uniform, measured: %.3f)",
        figures["size_mb"],
        figures["bops_g"],
        figures["uniform_size_mb"],
        figures["uniform_bops_g"],
        figures["measured"],
        figures["predicted"],
        figures.get("predicted_with_pairs", float("nan")),
        figures["uniform_measured"],
    )
    return parameters_of(result.widths), pd.DataFrame(result.rows), figures, allocation_figure(result.rows)
