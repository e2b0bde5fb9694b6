"""A BatchNorm of any sign goes into codes and positive scales, and the product is the weight that was simulated."""

from __future__ import annotations

import pytest
import torch

from crqat_pipeline.export.integer_weight import integer_weight
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.quantization.channel_affine import affine_of
from tests.support.toy_detector import ToyDetector, toy_inputs


@pytest.mark.parametrize("options", [{}, {"weight_symmetric": False}], ids=["symmetric", "asymmetric"])
def test_negative_gains_negate_codes_and_keep_scales_positive(options):
    torch.manual_seed(0)
    detector = ToyDetector().eval()
    with torch.no_grad():
        detector.backbone.norm.weight.copy_(torch.randn(12))
        detector.backbone.norm.weight[:2] = torch.tensor([0.0, -0.7])
    prepare(detector, QuantSpec.parse("4-4-8", **options))
    calibrate(detector, [toy_inputs()], ("backbone",))
    set_quantized(detector, ("backbone",))
    conv, affine = detector.backbone.conv, affine_of(detector.backbone.norm)
    plain, folded = integer_weight(conv, None), integer_weight(conv, affine)
    assert torch.equal(folded.codes[1], -plain.codes[1])
    assert not folded.codes[0].any()
    assert (folded.scale_O > 0).all()
    want = conv.weight_quantizer(conv.weight.detach()) * affine.gain_C.reshape(-1, 1, 1, 1)
    torch.testing.assert_close(folded.codes * folded.scale_O.reshape(-1, 1, 1, 1), want)
    assert torch.equal(folded.bias_O, affine.shift_C)
