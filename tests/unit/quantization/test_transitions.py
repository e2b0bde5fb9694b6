"""Transitions of weight codes: counted by hand, damped by the gradient of the formula, frozen, scheduled."""

import pytest
import torch
from torch import nn

from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.quantization.transition_spec import TransitionSpec
from crqat_pipeline.quantization.transitions import CodeTransitions
from crqat_pipeline.structures.quantization_contract import QuantizationContract


def linear(values, bits="4-4-8"):
    """One layer whose step is 1, so that codes are rounded weights."""
    model = nn.Sequential(nn.Linear(len(values), 1, bias=False))
    model.quantization_contract = QuantizationContract(
        parts={"all": ("",)}, example_inputs=lambda images, side, prompts: (torch.empty(1, len(values), device="meta"),)
    )
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([values]))
    prepare(model, QuantSpec.parse(bits, scale_parametrization="plain"))
    calibrate(model, [(torch.ones(1, len(values)),)], ["all"])
    set_quantized(model, ["all"])
    model[0].weight_quantizer.set_qparams(torch.ones(1), torch.zeros(1))
    return model


def move(model, values):
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([values]))


def test_changes_are_counted_per_step():
    model = linear([0.4, 1.0, 2.0, 3.0])
    follows = CodeTransitions(model, TransitionSpec(), num_steps=4)
    move(model, [0.6, 1.0, 2.0, 3.0])
    follows.after_step()
    move(model, [0.6, 1.1, 2.6, 3.0])
    follows.after_step()
    assert follows.metrics() == {"codes_changed": 0.25, "codes_oscillating": 0.0, "codes_frozen": 0.0}
    follows.after_step()
    assert follows.metrics()["codes_changed"] == 0.0


def test_only_a_change_back_is_an_oscillation():
    model = linear([0.4, 0.4])
    follows = CodeTransitions(model, TransitionSpec(momentum=0.5), num_steps=4)
    for first, second in ((0.6, 0.6), (0.4, 1.6)):
        move(model, [first, second])
        follows.after_step()
    assert follows.tensors["0.frequency"].tolist() == [[0.5, 0.0]]
    assert follows.metrics()["codes_oscillating"] == 0.5


def test_a_code_that_oscillates_is_fixed_at_its_mean_whatever_the_weight_does():
    model = linear([0.4, 3.0])
    spec = TransitionSpec(momentum=0.5, freeze_above=0.4, freeze_from=0.4)
    follows = CodeTransitions(model, spec, num_steps=10)
    for value in (0.6, 0.4):  # codes 0, 1, 0; running mean 0.25
        move(model, [value, 3.0])
        follows.after_step()
    assert model[0].weight[0].tolist() == [0.0, 3.0]
    move(model, [5.0, 5.0])
    follows.after_step()
    assert model[0].weight[0].tolist() == [0.0, 5.0]
    assert follows.metrics()["codes_frozen"] == 0.5


def test_damping_is_the_gradient_of_the_squared_distance_to_the_grid():
    weights = torch.tensor([[0.3, -0.4, 20.0]], requires_grad=True)
    held = weights.detach().round().clamp(-7, 7)
    (0.05 * (held - weights.clamp(-7, 7)).square().sum()).backward()  # λ is half way after half of the steps
    model = linear([0.3, -0.4, 20.0])
    follows = CodeTransitions(model, TransitionSpec(damping=0.1), num_steps=2)
    follows.after_step()
    model[0].weight.grad = torch.zeros(1, 3)
    follows.on_gradients()
    torch.testing.assert_close(model[0].weight.grad, weights.grad)


def test_without_options_weights_and_gradients_and_rate_stay():
    model = linear([0.4, 1.0])
    follows = CodeTransitions(model, TransitionSpec(), num_steps=2)
    move(model, [0.6, 1.0])
    model[0].weight.grad = torch.ones(1, 2)
    follows.on_gradients()
    follows.after_step()
    assert model[0].weight.grad.tolist() == [[1.0, 1.0]]
    assert torch.equal(model[0].weight, torch.tensor([[0.6, 1.0]]))
    assert follows.rate_factor == 1.0


def test_the_rate_falls_where_more_codes_change_than_scheduled_and_rises_where_fewer_do():
    model = linear([0.4, 1.0])
    follows = CodeTransitions(model, TransitionSpec(target_share=0.1), num_steps=100)
    for step in range(20):
        move(model, [0.4 + step % 2, 1.0])
        follows.after_step()
    assert follows.rate_factor < 0.9
    falling = follows.rate_factor
    for _ in range(60):
        follows.after_step()
    assert follows.rate_factor > falling


def test_weights_of_more_bits_and_weights_that_stand_still_are_left_alone():
    assert "0.code" not in CodeTransitions(linear([1.0], "8-8-8"), TransitionSpec(), 1).tensors
    still = linear([1.0])
    still.requires_grad_(False)
    assert "0.code" not in CodeTransitions(still, TransitionSpec(), 1).tensors


def test_a_bound_that_rises_is_refused():
    with pytest.raises(ValueError, match=r"0\.1 and 0\.2. Lower freeze_above"):
        TransitionSpec(freeze_above=0.2)
