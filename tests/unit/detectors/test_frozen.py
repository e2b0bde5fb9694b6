"""A frozen copy answers as its detector does, computes less, and leaves the original alone."""

import pytest
import torch
from torch import nn

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from tests.support.random_batches import random_batch
from tests.support.toy_detector import ToyDetector, toy_inputs


def lively_detector(version):
    """Random BatchNorms, so that folding has something to fold."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector = build_detector("yolo_world_open_shapes", version=version).eval()
        for norm in (module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.2, 1)
            nn.init.uniform_(norm.weight, -1, 2)
            nn.init.normal_(norm.bias)
    return detector


@torch.no_grad()
def answers(detector, images, texts):
    output = detector(images, texts, return_features=True)
    named = {
        "logits": output.class_logits_BNK,
        "boxes": output.boxes_BN4,
        "regions": output.region_embeddings_BND,
        **output.features,
    }
    return {name: value.clone() for name, value in named.items()}


@pytest.mark.parametrize("version", [1, 2])
def test_outputs_embeddings_and_features_are_equal_to_rounding(version):
    detector, batch = lively_detector(version), random_batch(0)
    expected = answers(detector, batch.images_B3HW, batch.text_embeddings)
    for name, got in answers(detector.frozen(), batch.images_B3HW, batch.text_embeddings).items():
        assert (got - expected[name]).abs().max() <= 1e-5 * expected[name].abs().max(), name
    backbone = detector.frozen().backbone_features(batch.images_B3HW)
    assert all(torch.allclose(backbone[name], expected[name], rtol=1e-4, atol=1e-4) for name in backbone)


def test_the_original_keeps_its_weights_mode_and_gradients():
    detector = lively_detector(2).train()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    detector.frozen()
    assert detector.training
    assert all(parameter.requires_grad for parameter in detector.parameters())
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
    assert not any(module.inplace for module in detector.modules() if isinstance(module, nn.SiLU))


def test_nothing_of_the_copy_trains_and_only_the_contrasts_keep_a_batch_norm():
    copy = lively_detector(2).train().frozen()
    assert not any(module.training for module in copy.modules())
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    left = [name for name, module in copy.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert left == [f"head.contrasts.{level}.norm" for level in range(3)]


def test_a_quantized_detector_is_copied_as_it_is():
    detector, batch = lively_detector(2), random_batch(0)
    prepare(detector, QuantSpec.parse("4-4-8"))
    calibrate(detector, [(batch.images_B3HW, batch.text_embeddings)], detector.parts)
    set_quantized(detector, detector.parts)
    expected = answers(detector, batch.images_B3HW, batch.text_embeddings)
    got = answers(detector.frozen(), batch.images_B3HW, batch.text_embeddings)
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_other_families_are_copied_as_they_are():
    detector, inputs = ToyDetector().eval(), toy_inputs()
    copy = detector.frozen()
    assert copy is not detector
    assert torch.equal(copy(*inputs).class_logits_BNK, detector(*inputs).class_logits_BNK)
    assert not any(parameter.requires_grad for parameter in copy.parameters())
