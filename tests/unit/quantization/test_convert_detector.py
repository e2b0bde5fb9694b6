from __future__ import annotations

import pytest
import torch
from torch import nn

from crqat_pipeline.quantization import QuantSpec, calibrate, convert, prepare, set_quantized
from crqat_pipeline.quantization.integer_reference import execute_layer, integer_execution
from tests.support.toy_detector import ToyDetector, toy_inputs

PARTS = ("backbone", "neck", "head")


def trained_like(spec: QuantSpec, parts=PARTS) -> ToyDetector:
    """A calibrated detector with uneven BatchNorms, some gains negative, one zero."""
    torch.manual_seed(0)
    detector = ToyDetector().eval()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            with torch.no_grad():
                module.weight[0] = 0.0
                module.weight[1] = -0.7
    prepare(detector, spec)
    calibrate(detector, [toy_inputs()], parts)
    set_quantized(detector, parts)
    return detector


@pytest.mark.parametrize(
    ("bits", "granularity", "options"),
    [
        ("4-4-8", "Ch-T-H", {}),
        ("8-8-8", "T-T-T", {}),
        ("3-5-none", "G4-T-H", {"scale_parametrization": "plain"}),
        ("4-4-8", "Ch-T-H", {"pre_activation_bits": 8}),
        ("4-4-8", "Ch-T-H", {"weight_symmetric": False, "activation_symmetric": True}),
        ("4-4-8", "Ch-Ch-H", {"deployment": "simulation"}),
        ("4-none-8", "Ch-T-H", {"deployment": "simulation"}),
    ],
)
def test_integers_execute_what_was_simulated(bits, granularity, options):
    detector = trained_like(QuantSpec.parse(bits, granularity, **options))
    inputs = toy_inputs(seed=5)
    model = convert(detector)
    with torch.no_grad():
        want = detector(*inputs)
        with integer_execution(detector, model):
            got = detector(*inputs)
        again = detector(*inputs)
    torch.testing.assert_close(got.class_logits_BNK, want.class_logits_BNK, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got.boxes_BN4, want.boxes_BN4, rtol=1e-4, atol=1e-3)
    assert torch.equal(again.class_logits_BNK, want.class_logits_BNK)


def test_codes_and_scales_equal_the_fake_quantized_weight():
    detector = trained_like(QuantSpec.parse("4-4-8"))
    layer, conv = convert(detector).layers["neck.mix"], detector.neck.mix
    want = conv.weight_quantizer(conv.weight.detach())
    assert layer.weight_codes.dtype == torch.int8
    assert torch.equal(layer.weight_codes.float() * layer.weight.scale_G.reshape(-1, 1, 1, 1), want)
    x = torch.randn(2, 12, 5, 3)
    torch.testing.assert_close(execute_layer(layer, x), conv(x).detach(), rtol=1e-5, atol=1e-6)


def test_negative_gain_negates_codes_and_keeps_scales_positive():
    detector = trained_like(QuantSpec.parse("4-4-8"))
    layer, conv = convert(detector).layers["backbone.conv"], detector.backbone.conv
    codes = conv.weight_quantizer.codes(conv.weight)
    gain_C = detector.backbone.norm.weight.detach()
    assert torch.equal(layer.weight_codes[1].float(), -codes[1])
    assert torch.equal(layer.weight_codes[0], torch.zeros_like(layer.weight_codes[0]))
    positive = int((gain_C > 0).nonzero()[0])
    assert torch.equal(layer.weight_codes[positive].float(), codes[positive])
    assert (layer.weight.scale_G > 0).all()
    assert layer.weight_codes.abs().max() <= 7


def test_a_code_that_cannot_be_negated_is_refused_with_the_way_out():
    detector = trained_like(QuantSpec.parse("4-4-8", narrow_weight_range=False))
    with torch.no_grad():
        detector.backbone.conv.weight[1, 0, 0, 0] = -100.0
    with pytest.raises(ValueError, match=r"does not fit 4 bits; got code -8 in channels \[.*1.*backbone\.conv.*narrow"):
        convert(detector)


def test_what_is_left_in_float():
    detector = trained_like(QuantSpec.parse("4-4-8"), parts=("backbone",))
    model = convert(detector)
    assert set(model.layers) == {"backbone.conv"}
    assert model.operands == {}
    assert "backbone.stem.weight" in model.float_tensors
    assert "head.hidden.weight" in model.float_tensors
    assert not any("backbone.norm." in name or "quantizer" in name for name in model.float_tensors)


def test_refusals():
    detector = ToyDetector()
    prepare(detector, QuantSpec.parse("4-4-8"))
    with pytest.raises(ValueError, match=r"nothing to convert or measure\. Call set_quantized"):
        convert(detector)
    set_quantized(detector, PARTS)
    with pytest.raises(ValueError, match=r"on but not calibrated, first 'backbone\.conv"):
        convert(detector)
    with pytest.raises(ValueError, match=r"no integer form; got 'backbone\.conv'"):
        convert(trained_like(QuantSpec.parse("none-4-8", deployment="simulation")))
