from __future__ import annotations

import copy

import pytest
import torch

from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, quantizer_parameters, set_quantized
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.parts import quantizers
from tests.support.toy_detector import ToyDetector, toy_inputs

PARTS = ("backbone", "neck", "head")


def toy(seed: int = 0) -> ToyDetector:
    torch.manual_seed(seed)
    return ToyDetector().eval()


def test_prepared_detector_is_bit_equal_while_quantizers_are_off():
    detector, inputs = toy(), toy_inputs()
    want = detector(*inputs)
    parameters = dict(detector.named_parameters())
    prepare(detector, QuantSpec.parse("4-4-8", pre_activation_bits=8))
    got = detector(*inputs)
    assert torch.equal(got.class_logits_BNK, want.class_logits_BNK)
    assert torch.equal(got.boxes_BN4, want.boxes_BN4)
    renamed = dict(detector.named_parameters())
    assert all(renamed[name] is parameter for name, parameter in parameters.items())


def test_summary_says_what_every_layer_became_and_why_not():
    detector = toy()
    detector.extra = torch.nn.Linear(2, 2)
    summary = prepare(detector, QuantSpec.parse("4-4-8", keep_full_precision=("neck.gui*",)))
    assert set(summary.quantized) == {"backbone.conv", "neck.mix", "neck.product", "head.hidden"}
    assert summary.full_precision == {
        "backbone.stem": "first or last layer",
        "neck.guide": "pattern 'neck.gui*'",
        "head.embed": "first or last layer",
        "head.box": "first or last layer",
        "head.similarity": "its bits are none, or its type is not supported",
        "extra": "in no part of the detector",
    }
    text = str(summary)
    assert text.startswith("4-4-8 Ch-T-H: ")
    assert "folds backbone.norm" in text


def test_layers_and_steps_follow_the_spec():
    detector = toy()
    prepare(detector, QuantSpec.parse("4-3-8", "G4-T-H"))
    conv = detector.backbone.conv
    assert isinstance(conv, QuantConv2d)
    assert isinstance(detector.neck.guide, QuantLinear)
    assert (conv.weight_quantizer.num_steps, conv.weight_quantizer.grid.quant_min) == (4, -7)
    assert (conv.input_quantizer.num_steps, conv.input_quantizer.grid.quant_max) == (1, 7)
    assert (conv.batch_norm, detector.neck.mix.batch_norm) == ("backbone.norm", None)
    calibrate(detector, [toy_inputs()], PARTS)
    assert detector.neck.product.map_operand.scale.shape == (3,)  # one per head


def test_parts_switch_on_and_off_without_rebuilding():
    detector, inputs = toy(), toy_inputs()
    plain = detector(*inputs)
    prepare(detector, QuantSpec.parse("4-4-8"))
    calibrate(detector, [inputs], PARTS)
    assert torch.equal(detector(*inputs).class_logits_BNK, plain.class_logits_BNK)
    set_quantized(detector, ["neck"])
    output = detector(*inputs, return_features=True)
    assert torch.equal(output.features["c"], detector.backbone_features(inputs[0])["c"])
    assert {name.split(".")[0] for name, quantizer in quantizers(detector) if quantizer.is_on} == {"neck"}
    assert not torch.equal(output.class_logits_BNK, plain.class_logits_BNK)
    set_quantized(detector, ())
    assert torch.equal(detector(*inputs).class_logits_BNK, plain.class_logits_BNK)


@pytest.mark.parametrize("options", [{}, {"scale_parametrization": "plain", "pre_activation_bits": 8}])
def test_state_dict_restores_everything(options):
    spec, inputs = QuantSpec.parse("4-4-8", **options), toy_inputs()
    detector = toy()
    prepare(detector, spec)
    calibrate(detector, [inputs], ["backbone", "neck"])
    fresh = toy(seed=1)
    prepare(fresh, spec)
    fresh.load_state_dict(copy.deepcopy(detector.state_dict()))
    for one in (detector, fresh):
        set_quantized(one, ["backbone", "neck"])
    assert torch.equal(detector(*inputs).class_logits_BNK, fresh(*inputs).class_logits_BNK)
    set_quantized(fresh, PARTS)
    with pytest.raises(ValueError, match=r"switched on before it was calibrated.*calibrate"):
        fresh(*inputs)


def test_quantizer_parameters_are_learned_and_get_gradients():
    detector, inputs = toy(), toy_inputs()
    prepare(detector, QuantSpec.parse("4-4-8"))
    calibrate(detector, [inputs], PARTS)
    set_quantized(detector, PARTS)
    output = detector(*inputs)
    (output.class_logits_BNK.square().sum() + output.boxes_BN4.sum()).backward()
    parameters = quantizer_parameters(detector)
    # 4 weights: a step; 4 inputs and 2 operands: a step and a zero point
    assert len(parameters) == 4 + 2 * 6
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)


def test_fixed_quantizers_have_nothing_to_learn():
    detector = toy()
    prepare(detector, QuantSpec.parse("4-4-8", weight_quantizer="fixed", activation_quantizer="fixed"))
    assert quantizer_parameters(detector) == []


def test_refusals():
    detector = toy()
    with pytest.raises(ValueError, match=r"must match a layer; got 'nek\.\*'.*Near: .*neck"):
        prepare(detector, QuantSpec.parse("4-4-8", keep_full_precision=("nek.*",)))
    with pytest.raises(ValueError, match=r"got 5 groups on 12 channels"):
        prepare(toy(), QuantSpec.parse("4-4-8", "G5-T-H"))
    with pytest.raises(ValueError, match=r"no quantizers to switch on"):
        set_quantized(detector, ["neck"])
    prepare(detector, QuantSpec.parse("4-4-8"))
    with pytest.raises(ValueError, match=r"prepared already"):
        prepare(detector, QuantSpec.parse("4-4-8"))
    with pytest.raises(ValueError, match=r"out of backbone, neck, head; got \['tail'\]"):
        set_quantized(detector, ["tail"])
    with pytest.raises(ValueError, match=r"collection of names"):
        set_quantized(detector, "neck")


def test_a_failed_prepare_leaves_the_detector_as_it_was():
    detector = toy()
    names = [type(module) for module in detector.modules()]
    with pytest.raises(ValueError, match="groups"):
        prepare(detector, QuantSpec.parse("4-4-8", "G9-T-H"))
    assert [type(module) for module in detector.modules()] == names
