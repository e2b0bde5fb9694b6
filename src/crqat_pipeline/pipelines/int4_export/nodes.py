"""Nodes of the int4_export stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.recipes.exporting import pack_student, verify_packed
from crqat_pipeline.recipes.onnx_exporting import export_onnx
from crqat_pipeline.recipes.specs import DataPrepSpec, ExportSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary


def pack(
    student: Checkpoint, text_bank: TextBank, data_prep: DataPrepSpec, spec: ExportSpec
) -> Callable[[Path], object]:
    """The writer of the packed file; the catalog says where."""
    return pack_student(student, text_bank, data_prep.encoder, spec.image_size_px)


def verify(
    path: Path,
    student: Checkpoint,
    images: ImageFolder,
    calibration_set: PreparedSplit,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    spec: ExportSpec,
) -> tuple[Callable[[Path], object], dict[str, float]]:
    """The writer of the ONNX graph made from the packed file; sizes of both, and their distance from the student."""
    data = TrainingData(calibration_set, images, vocabulary, text_bank)
    packed_figures = verify_packed(path, student, data, spec)
    graph, graph_figures = export_onnx(path, data, spec)
    return graph, packed_figures | graph_figures
