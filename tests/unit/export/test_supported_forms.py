"""Which detectors have an ONNX graph is known from their class."""

import pytest

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.export.onnx import FORMS
from crqat_pipeline.export.onnx.supported import check_supported, supported_forms
from tests.support.toy_detector import ToyDetector


def test_families_with_emitters_have_every_form():
    assert supported_forms(build_detector("yolo_world_open_shapes")) == tuple(FORMS)


def test_a_detector_without_emitters_has_none_and_says_what_to_do():
    assert supported_forms(ToyDetector()) == ()
    with pytest.raises(
        ValueError, match=r"of ToyDetector: there are emitters for .*YoloWorld.*int4_export.onnx to null"
    ):
        check_supported(ToyDetector())
