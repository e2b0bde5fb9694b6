from __future__ import annotations

import copy

import pytest
import torch

from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.quantization.parts import quantizers
from tests.support.toy_detector import ToyDetector, toy_inputs

PARTS = ("backbone", "neck", "head")


def prepared(**options) -> ToyDetector:
    torch.manual_seed(0)
    detector = ToyDetector().train()
    prepare(detector, QuantSpec.parse("4-4-8", **options))
    return detector


@pytest.mark.parametrize("rule", ["lsq", "lsq_plus", "minmax", "percentile", "mse"])
def test_every_rule_is_deterministic_and_streaming(rule):
    options = {"weight_initialization": rule, "activation_initialization": rule}
    one, other = prepared(**options), prepared(**options)
    images_B3HW, text_KD = toy_inputs(num_images=4)
    calibrate(one, [(images_B3HW, text_KD)], PARTS)
    calibrate(other, ((images_B3HW[i : i + 1], text_KD) for i in range(4)), PARTS)
    for (name, a), (_, b) in zip(quantizers(one), quantizers(other), strict=True):
        tolerance = 0.02 if rule in ("mse", "percentile") else 1e-5  # histogram bins depend on the first batch
        torch.testing.assert_close(a.scale, b.scale, rtol=tolerance, atol=1e-6, msg=name)
    again = prepared(**options)
    calibrate(again, [(images_B3HW, text_KD)], PARTS)
    for (_, a), (_, b) in zip(quantizers(one), quantizers(again), strict=True):
        assert torch.equal(a.step_G, b.step_G)


def test_only_the_parts_asked_for_are_calibrated_and_modes_are_restored():
    detector = prepared()
    statistics = detector.backbone.norm.running_mean.clone()
    calibrate(detector, [toy_inputs()], ["backbone"])
    ready = {name.split(".")[0] for name, quantizer in quantizers(detector) if quantizer.is_ready}
    assert ready == {"backbone"}
    assert detector.training
    assert torch.equal(detector.backbone.norm.running_mean, statistics)
    assert not any(quantizer.is_observing for _, quantizer in quantizers(detector))


def test_other_parts_keep_their_state_and_are_seen_by_the_observers():
    inputs = toy_inputs()
    detector = prepared(activation_initialization="minmax")
    calibrate(detector, [inputs], ["backbone"])
    set_quantized(detector, ["backbone"])
    seen = []
    handle = detector.neck.mix.input_quantizer.register_forward_pre_hook(lambda module, x: seen.append(x[0].clone()))
    calibrate(detector, [inputs], ["neck"])
    handle.remove()
    assert torch.equal(seen[0], detector.eval().backbone(inputs[0]))
    switched = {name.split(".")[0] for name, quantizer in quantizers(detector) if quantizer.is_on}
    assert switched == {"backbone"}


def test_minmax_covers_what_was_seen():
    detector = prepared(activation_initialization="minmax", weight_initialization="minmax")
    calibrate(detector, [toy_inputs()], PARTS)
    quantizer = detector.backbone.conv.weight_quantizer
    weight = detector.backbone.conv.weight.detach().flatten(1)
    torch.testing.assert_close(quantizer.scale, weight.abs().amax(1) / 7)
    low, high = detector.backbone.conv.input_quantizer.grid_range
    assert low < 0 < high


def test_errors():
    detector = prepared()
    with pytest.raises(ValueError, match=r"at least one batch.*got none"):
        calibrate(detector, [], PARTS)
    images_B3HW, text_KD = toy_inputs()
    images_B3HW[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"finite values; got NaN"):
        calibrate(detector, [(images_B3HW, text_KD)], PARTS)
    with pytest.raises(ValueError, match=r"got \['tail'\]"):
        calibrate(detector, [toy_inputs()], ["tail"])
    assert not any(quantizer.is_observing for _, quantizer in quantizers(detector))


def test_a_quantizer_that_saw_nothing_is_named():
    detector = prepared()
    detector.head.unused = detector.head.hidden.__class__(2, 2, 1)
    detector.head.unused.weight_quantizer = None
    detector.head.unused.input_quantizer = copy.deepcopy(detector.head.hidden.input_quantizer)
    with pytest.raises(ValueError, match=r"1 quantizers saw no data.*'head\.unused\.input_quantizer'"):
        calibrate(detector, [toy_inputs()], PARTS)
