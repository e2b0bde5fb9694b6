"""Frozen layers that carry their BatchNorm answer as before, and everything is as it was when the block ends."""

import copy

import pytest
import torch
from torch import nn

from crqat_pipeline.curriculum.apply import train_only
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.quantization.frozen_layers import folded_frozen_layers
from tests.support.random_batches import random_batch, small_detector


@pytest.fixture(scope="module")
def prepared():
    """A student of stage 1: its backbone is quantized and trains, its BatchNorms have something to fold."""
    detector, batch = small_detector(0).eval(), random_batch(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for norm in (module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0, 0.2)
    prepare(detector, QuantSpec.parse("4-4-8", activation_initialization="minmax"))
    calibrate(detector, [(batch.images_B3HW, batch.text_embeddings)], detector.parts)
    return detector


def stage_1(prepared):
    student = copy.deepcopy(prepared)
    set_quantized(student, ["backbone"])
    train_only(student, ["backbone"])
    return student


def losses_and_gradients(student):
    batch = random_batch(0)
    losses = student.loss(student(batch.images_B3HW, batch.text_embeddings), batch.targets)
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in student.named_parameters() if p.grad is not None}
    student.zero_grad(set_to_none=True)
    return {name: value.detach() for name, value in losses.items()}, gradients


def test_losses_and_gradients_of_stage_1_are_equal_to_rounding(prepared):
    """Losses to 1e-5 relative, the gradient as one vector to 1e-4 of its length."""
    student = stage_1(prepared)
    losses, gradients = losses_and_gradients(student)
    with folded_frozen_layers(student) as num_folded:
        folded_losses, folded_gradients = losses_and_gradients(student)
    assert num_folded > 20
    assert set(folded_gradients) == set(gradients)
    for name, loss in losses.items():
        assert folded_losses[name].item() == pytest.approx(loss.item(), rel=1e-5), name
    whole, folded = (torch.cat([one[name].flatten() for name in gradients]) for one in (gradients, folded_gradients))
    assert (folded - whole).norm() <= 1e-4 * whole.norm()


def test_the_state_dict_is_the_same_within_the_block_and_the_answer_to_the_bit_after_it(prepared):
    student, batch = stage_1(prepared), random_batch(0)
    state = {name: value.clone() for name, value in student.state_dict().items()}
    with torch.no_grad():
        expected = student(batch.images_B3HW, batch.text_embeddings).class_logits_BNK
        with folded_frozen_layers(student):
            assert list(student.state_dict()) == list(state)
            assert all(torch.equal(value, state[name]) for name, value in student.state_dict().items())
        assert torch.equal(student(batch.images_B3HW, batch.text_embeddings).class_logits_BNK, expected)


def test_what_trains_or_is_quantized_is_not_folded(prepared):
    student = stage_1(prepared)
    set_quantized(student, student.parts)
    with folded_frozen_layers(student) as num_folded:
        assert num_folded == 0
    set_quantized(student, ["backbone"])
    train_only(student, student.parts)
    with folded_frozen_layers(student) as num_folded:
        assert num_folded == 0


def test_an_output_with_other_readers_keeps_its_value(prepared):
    """The embedding before version 2's contrast is an output by itself, even where edge layers are quantized."""
    detector = small_detector(0).eval()
    prepare(detector, QuantSpec.parse("4-4-8", keep_edge_layers=False))
    train_only(detector, ["backbone"])
    batch = random_batch(0)
    with torch.no_grad():
        expected = detector(batch.images_B3HW, batch.text_embeddings, return_features=True).raw_region_embeddings_BND
        with folded_frozen_layers(detector) as num_folded:
            got = detector(batch.images_B3HW, batch.text_embeddings, return_features=True).raw_region_embeddings_BND
    assert num_folded > 20
    assert (got - expected).abs().max() <= 1e-4 * expected.abs().max()
