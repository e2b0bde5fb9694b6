"""What is simulated can be executed on integers: the fake-quantized layers compute what exact integer sums compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.quantization.parts import check_ready
from tests.support.integer_oracle import execute, integer_execution
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
    with torch.no_grad():
        want = detector(*inputs)
        with integer_execution(detector) as executed:
            got = detector(*inputs)
        again = detector(*inputs)
    assert executed == ["backbone.conv", "neck.mix", "neck.guide", "head.hidden"][: len(executed)]
    assert len(executed) == 4
    torch.testing.assert_close(got.class_logits_BNK, want.class_logits_BNK, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got.boxes_BN4, want.boxes_BN4, rtol=1e-4, atol=1e-3)
    assert torch.equal(again.class_logits_BNK, want.class_logits_BNK)


def test_one_layer_alone():
    conv = trained_like(QuantSpec.parse("4-4-8")).neck.mix
    x = torch.randn(2, 12, 5, 3)
    with torch.no_grad():
        torch.testing.assert_close(execute(conv, x), conv(x), rtol=1e-5, atol=1e-6)


def test_only_what_is_on_is_executed():
    with integer_execution(trained_like(QuantSpec.parse("4-4-8"), parts=("backbone",))) as executed:
        assert executed == ["backbone.conv"]


def test_a_detector_is_ready_when_what_is_on_is_calibrated():
    detector = ToyDetector()
    prepare(detector, QuantSpec.parse("4-4-8"))
    with pytest.raises(ValueError, match=r"nothing to pack or measure\. Call set_quantized"):
        check_ready(detector)
    set_quantized(detector, PARTS)
    with pytest.raises(ValueError, match=r"on but not calibrated, first 'backbone\.conv"):
        check_ready(detector)
    check_ready(trained_like(QuantSpec.parse("4-4-8")))
