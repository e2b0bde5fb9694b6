from __future__ import annotations

from math import log10

import pytest
import torch

from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.quantization.diagnostics import quantizer_rows, scale_rows
from tests.support.toy_detector import ToyDetector, toy_inputs

PARTS = ("backbone", "neck", "head")


def quantized() -> ToyDetector:
    torch.manual_seed(0)
    detector = ToyDetector().train()
    prepare(detector, QuantSpec.parse("4-4-8", activation_initialization="minmax"))
    calibrate(detector, [toy_inputs()], PARTS)
    set_quantized(detector, PARTS)
    return detector


def test_rows_are_what_the_quantizers_do():
    detector = quantized()
    rows = {row["name"]: row for row in quantizer_rows(detector, [toy_inputs(), toy_inputs()])}
    assert len(rows) == 4 * 2 + 2
    assert detector.training
    conv = detector.backbone.conv
    weight, row = conv.weight.detach(), rows["backbone.conv.weight_quantizer"]
    noise = (conv.weight_quantizer(weight) - weight).square().sum()
    assert row["sqnr_db"] == pytest.approx(10 * log10(weight.square().sum() / noise), rel=1e-4)
    assert (row["part"], row["layer"], row["tensor"], row["bits"]) == ("backbone", "backbone.conv", "weight", 4)
    assert row["used_levels"] == conv.weight_quantizer.codes(weight).unique().numel() <= row["num_levels"] == 15
    assert rows["neck.product.map_operand"]["bits"] == 8
    assert rows["backbone.conv.input_quantizer"]["clipping_rate"] == 0.0  # min-max clips nothing


def test_clipping_and_levels_by_hand():
    detector = quantized()
    quantizer = detector.backbone.conv.input_quantizer
    quantizer.set_qparams(torch.tensor([1e-6]), torch.tensor([0.0]))
    row = next(row for row in quantizer_rows(detector, [toy_inputs()]) if row["name"].endswith("conv.input_quantizer"))
    assert row["clipping_rate"] > 0.95
    assert row["used_levels"] == 2
    quantizer.set_qparams(torch.tensor([1e3]), torch.tensor([0.0]))
    row = next(row for row in quantizer_rows(detector, [toy_inputs()]) if row["name"].endswith("conv.input_quantizer"))
    assert (row["used_levels"], row["clipping_rate"]) == (1, 0.0)
    assert row["sqnr_db"] == pytest.approx(0.0, abs=1e-6)


def test_the_steps_over_time():
    detector = quantized()
    rows = scale_rows(detector, 0) + scale_rows(detector, 10)
    assert {row["step"] for row in rows} == {0, 10}


def test_a_model_without_quantizers_is_refused():
    with pytest.raises(ValueError, match="nothing to pack or measure"):
        quantizer_rows(ToyDetector(), [toy_inputs()])
