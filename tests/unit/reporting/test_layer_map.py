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
    moved = [row | {"movement": 0.5**number} for number, row in enumerate(diagnostics)]
    moved[1]["movement"] = 0.0
    figure = layer_heat_map(moved)
    noise, answers = figure.axes[:2]
    assert noise.get_yticklabels()[0].get_text() == "backbone.conv"
    assert {label.get_text() for label in noise.get_xticklabels()} >= {"weight", "input", "map", "guide"}
    (painted,) = (image.get_array() for image in answers.images)
    assert painted[0, 0] == painted.max() == 0.0  # log10 of the largest movement
    assert painted[0, 1] == painted.min() == -4.0  # none at all: the faintest colour


@pytest.mark.parametrize("row", [{"name": "a", "movement": 0.1}, {"name": "a", "sqnr_db": 3.0}])
def test_rows_without_one_of_the_two_are_refused(row):
    with pytest.raises(ValueError, match="needs rows that have it; got name"):
        layer_heat_map([row])
