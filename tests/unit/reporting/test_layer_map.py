"""Heat maps of quantizers: one line per layer or quantizer, named."""

from __future__ import annotations

from math import inf

import pytest
import torch

from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.quantization.diagnostics import quantizer_rows, scale_rows
from crqat_pipeline.reporting.layer_map import history_heat_map, layer_heat_map
from tests.support.toy_detector import ToyDetector, toy_inputs

PARTS = ("backbone", "neck", "head")


def test_history_and_pictures():
    torch.manual_seed(0)
    detector = ToyDetector().train()
    prepare(detector, QuantSpec.parse("4-4-8", activation_initialization="minmax"))
    calibrate(detector, [toy_inputs()], PARTS)
    set_quantized(detector, PARTS)
    rows = scale_rows(detector, 0)
    with torch.no_grad():
        detector.neck.mix.weight_quantizer.step_G += 0.5
    rows += scale_rows(detector, 10)
    figure = history_heat_map(rows)
    assert len(figure.axes[0].get_yticklabels()) == 10
    diagnostics = quantizer_rows(detector, [toy_inputs()])
    diagnostics[0]["sqnr_db"] = inf
    figure = layer_heat_map(diagnostics)
    assert figure.axes[0].get_yticklabels()[0].get_text() == "backbone.conv"
    assert {label.get_text() for label in figure.axes[0].get_xticklabels()} >= {"weight", "input", "map", "guide"}


def test_rows_without_the_value_are_refused():
    with pytest.raises(ValueError, match="'depth' needs rows that have it; got name"):
        layer_heat_map([{"name": "a"}], "depth")
