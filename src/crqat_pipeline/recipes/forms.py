"""The forms of the detector that are held against one another, in the order of every table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.packed import read_packed
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.structures.checkpoint import Checkpoint

FORM_LABELS: Mapping[str, str] = {
    "teacher": "Teacher (full precision)",
    "finetuned": "Fine-tune (full precision)",
    "ptq": "PTQ",
    "qat": "QAT (LSQ)",
    "crqat": "CR-QAT",
    "int4": "CR-QAT int4 file",
    "onnx": "CR-QAT ONNX",
}
"""Form -> what people read."""

TEACHER, MAIN, PACKED, ONNX = "teacher", "crqat", "int4", "onnx"
DELIVERABLES = (PACKED, ONNX)
"""Forms that leave the project; their figures are the student's."""
GALLERY_FORMS = ("teacher", "qat", "crqat")


def load_form(source: Checkpoint | Path) -> OpenVocabularyDetector:
    """A detector in eval mode, from a checkpoint or from a packed file."""
    if isinstance(source, Checkpoint):
        return rebuild(source).detector
    return read_packed(source).build().eval()


def is_written(onnx: Path) -> bool:
    """Whether the run exported a graph: export.onnx = null leaves an empty file."""
    return onnx.stat().st_size > 0
