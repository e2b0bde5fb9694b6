"""Check of a detector's ONNX graph: it computes the student's integers, for other prompts too."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.onnx.requirements import PACKAGES
from crqat_pipeline.export.onnx.supported import supported_forms
from crqat_pipeline.export.parity import check_batches
from crqat_pipeline.export.verified_onnx import SCORE_TOLERANCE, write_verified_onnx
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.testing.sample import images, texts

FORM = "spec"


def check_onnx(detector: OpenVocabularyDetector, name: str, options: Mapping[str, Any]) -> None:
    """Written as form spec, the graph agrees code by code, and with prompts of another number as well.

    Nothing is checked without onnx and onnxruntime, and for a detector that has no such graph.
    """
    if any(importlib.util.find_spec(package) is None for package in PACKAGES) or FORM not in supported_forms(detector):
        return
    pictures, text = images(detector), texts(detector, 3)
    prepare(detector, QuantSpec.parse("4-4-8", kernel="eager"))
    calibrate(detector, [(pictures, text)], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    sides = (pictures.shape[2], pictures.shape[3])
    spec = OnnxSpec(form=FORM, batch_size=len(pictures), image_size_px=sides)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "graph.onnx"
        try:
            write_verified_onnx(path, detector, [pictures], spec)
        except ValueError as error:
            raise AssertionError(f"{name} with {dict(options)} has the graph that was promised: {error}") from error
        parity = check_batches(path, detector, [pictures], functional.normalize(texts(detector, 5), dim=1))
    assert parity.num_unexplained == 0, f"other prompts give the student's integers; {parity}"
    assert parity.largest_score_difference <= SCORE_TOLERANCE, f"other prompts give the student's scores; {parity}"
