"""Nodes of the int4_export stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crqat_pipeline.model_files.packed import read_packed
from crqat_pipeline.recipes.exporting import verify_packed
from crqat_pipeline.recipes.onnx_exporting import export_onnx
from crqat_pipeline.recipes.specs import ExportSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.reporting.model_card.text import model_card
from crqat_pipeline.structures.checkpoint import Checkpoint


def verify(
    path: Path, student: Checkpoint, data: TrainingData, spec: ExportSpec
) -> tuple[Callable[[Path], object], dict[str, float]]:
    """The writer of the ONNX graph made from the packed file; sizes of both, and their distance from the student."""
    packed_figures = verify_packed(path, student, data, spec)
    graph, graph_figures = export_onnx(path, data, spec)
    return graph, packed_figures | graph_figures


def describe(
    path: Path,
    metrics: Mapping[str, float],
    data_report: Mapping[str, Any],
    teacher: TeacherSpec,
    spec: ExportSpec,
) -> Callable[[Path], object]:
    """The writer of the model card."""
    card = model_card(path.name, read_packed(path), data_report, teacher, spec, metrics)
    return lambda place: place.write_text(card, encoding="utf-8")
