"""Check of a detector's ONNX graph: it is the student, for other prompts too, and its file alone is enough to use it.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.onnx.requirements import PACKAGES
from crqat_pipeline.export.onnx.runtime import open_model
from crqat_pipeline.export.onnx.supported import check_declared
from crqat_pipeline.export.parity import check_batches
from crqat_pipeline.export.verified_onnx import SCORE_TOLERANCE, write_verified_onnx
from crqat_pipeline.inference.onnx_model import OnnxModel, to_logits
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.testing.sample import images, texts

FORM = "spec"
SCORE_THRESHOLD, MAX_DETECTIONS = 0.001, 300


def check_onnx(detector: OpenVocabularyDetector, name: str, options: Mapping[str, Any]) -> None:
    """Written as form spec, the graph computes the student's codes, also for prompts of another number, and a reader
    of the file alone selects the student's detections.

    A detector that says is_traceable = False and has no emitters is to be refused with these words; nothing else is
    checked of it. Without onnx and onnxruntime nothing is.
    """
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        return
    pictures = images(detector)
    sides = (pictures.shape[2], pictures.shape[3])
    spec = OnnxSpec(form=FORM, batch_size=len(pictures), image_size_px=sides)
    if not detector.is_traceable:
        _check_refused(detector, spec)
        return
    prepare(detector, QuantSpec.parse("4-4-8", kernel="eager"))
    calibrate(detector, [(pictures, texts(detector, 3))], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "graph.onnx"
        try:
            write_verified_onnx(path, detector, [pictures], spec)
        except ValueError as error:
            raise AssertionError(f"a detector that is_traceable has a graph: {error}") from error
        text_KD = functional.normalize(texts(detector, 5), dim=1)
        parity = check_batches(path, detector, [pictures], text_KD)
        _check_selection(path, detector, pictures, text_KD)
    assert parity.num_unexplained == 0, f"other prompts give the student's integers; {parity}"
    assert parity.largest_score_difference <= SCORE_TOLERANCE, f"other prompts give the student's scores; {parity}"


def _check_selection(path: Path, detector: OpenVocabularyDetector, pictures: Tensor, text_KD: Tensor) -> None:
    """What the file says of post-processing is all of `detect`: both select the same of the same scores and boxes."""
    feeds = {"images": pictures.numpy(), "text_embeddings": text_KD.numpy()}
    scored = open_model(path.read_bytes(), ["scores", "boxes"])(feeds).outputs
    logits_BNK, boxes_BN4 = to_logits(torch.from_numpy(scored["scores"])), torch.from_numpy(scored["boxes"])
    output = replace(detector(pictures, text_KD), class_logits_BNK=logits_BNK, boxes_BN4=boxes_BN4)
    wanted = detector.detect(output, score_threshold=SCORE_THRESHOLD, max_detections=MAX_DETECTIONS)
    model = OnnxModel(path)
    found = model.detect(pictures, text_KD, score_threshold=SCORE_THRESHOLD, max_detections=MAX_DETECTIONS)
    for ours, theirs in zip(found, wanted, strict=True):
        is_same = torch.equal(ours.labels_M, theirs.labels_M) and torch.equal(ours.boxes_M4, theirs.boxes_M4)
        assert is_same, "`selection` says how scored regions become detections; `detect` does something else"


def _check_refused(detector: OpenVocabularyDetector, spec: OnnxSpec) -> None:
    try:
        check_declared(detector, spec)
    except ValueError:
        return
    raise AssertionError("is_traceable is False though emitters write the graph; leave the attribute out")
