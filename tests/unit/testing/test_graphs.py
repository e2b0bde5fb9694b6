"""The check of ONNX files finds a detector whose file is not enough, and takes one at its word that has none."""

from dataclasses import replace

import pytest
import torch

from crqat_pipeline.testing import FILE_CHECKS
from tests.support.toy_detector import ToyDetector

pytest.importorskip("onnxruntime")
check_onnx = FILE_CHECKS["onnx file"]


def seeded(kind):
    torch.manual_seed(0)
    return kind().eval()


class Biased(ToyDetector):
    """Its own post-processing is not what `selection` says."""

    def detect(self, output, *, score_threshold, max_detections):
        moved = replace(output, boxes_BN4=output.boxes_BN4 + 1)
        return super().detect(moved, score_threshold=score_threshold, max_detections=max_detections)


class Declared(ToyDetector):
    is_traceable = False

    def forward(self, *args, **kwargs):
        raise RuntimeError("never run")


class Untold(ToyDetector):
    def forward(self, images_B3HW, text_embeddings, *, return_features=False):
        return super().forward(images_B3HW, torch.special.digamma(text_embeddings))


def test_the_toy_has_a_graph():
    check_onnx(seeded(ToyDetector), "toy", {})


def test_selection_beside_the_declared_one_is_found():
    with pytest.raises(AssertionError, match=r"`selection` says how scored regions become detections"):
        check_onnx(seeded(Biased), "toy", {})


def test_a_detector_without_graph_says_so_itself():
    check_onnx(seeded(Declared), "toy", {})
    with pytest.raises(AssertionError, match=r"is_traceable has a graph: .*digamma"):
        check_onnx(seeded(Untold), "toy", {})
