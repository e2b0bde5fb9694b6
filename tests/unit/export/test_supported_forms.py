"""Which detectors have an ONNX graph is known from their class."""

import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.export.onnx import FORMS, OnnxSpec
from crqat_pipeline.export.onnx.supported import check_supported, supported_forms
from tests.support.toy_detector import ToyDetector


def test_families_with_emitters_have_every_form():
    assert supported_forms(build_detector("yolo_world_open_shapes")) == tuple(FORMS)


def test_a_detector_without_emitters_has_those_of_a_trace_on_the_meta_device_too():
    with torch.device("meta"):
        detector = ToyDetector()
    assert supported_forms(detector) == ("spec", "fp32")
    check_supported(detector, OnnxSpec())
