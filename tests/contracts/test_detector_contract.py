"""What every row of DETECTORS must do. The large rows run on the meta device, the small ones for real."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from crqat_pipeline.detectors import DETECTORS, OpenVocabularyDetector, build_detector
from crqat_pipeline.structures.batch import ImageTargets

ROWS = [(name, version) for name in DETECTORS for version in (1, 2)]
RUNNABLE = [(name, version) for name in ("yolo_world_open_shapes", "yolo_world_n") for version in (1, 2)]


def _build(name: str, version: int) -> OpenVocabularyDetector:
    """With BatchNorm statistics of a random batch: untouched ones let the maps of a random network fade to zero."""
    torch.manual_seed(0)
    detector = build_detector(name, version=version)
    norms = [module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        detector.train()(torch.rand(2, 3, 64, 64), torch.randn(3, detector.embedding_dim))
    return detector


@pytest.mark.parametrize(("name", "version"), ROWS)
def test_shapes_follow_the_protocol(name: str, version: int) -> None:
    with torch.device("meta"):
        detector = build_detector(name, version=version)
        images, text = torch.zeros(2, 3, 64, 96), torch.zeros(2, 5, detector.embedding_dim)
        output = detector(images, text, return_features=True)
    regions = sum((64 // stride) * (96 // stride) for stride in (8, 16, 32))
    assert output.class_logits_BNK.shape == (2, regions, 5)
    assert output.boxes_BN4.shape == (2, regions, 4)
    assert output.region_embeddings_BND.shape == (2, regions, detector.embedding_dim)
    assert set(output.features) == {"c3", "c4", "c5", "td_p4", "td_p3", "bu_p4", "bu_p5"}
    assert output.features["bu_p5"].shape[2:] == (2, 3)
    assert detector(images, text).features == {}


@pytest.mark.parametrize(("name", "version"), ROWS)
def test_parts_and_edges_name_real_modules(name: str, version: int) -> None:
    with torch.device("meta"):
        detector = build_detector(name, version=version)
    names = {key for key, _ in detector.named_parameters()}
    owners = {
        key: [part for part, prefixes in detector.parts.items() if key.startswith(tuple(f"{p}." for p in prefixes))]
        for key in names
    }
    assert list(detector.parts) == ["backbone", "neck", "head"]
    assert all(len(parts) == 1 for parts in owners.values()), "every parameter belongs to exactly one part"
    modules = dict(detector.named_modules())
    assert len(detector.edge_layers) == 7
    assert all(isinstance(modules[edge], nn.Conv2d) for edge in detector.edge_layers)


@pytest.mark.parametrize(("name", "version"), ROWS)
def test_attention_operands_are_identity_children(name: str, version: int) -> None:
    with torch.device("meta"):
        detector = build_detector(name, version=version)
    products = [m for m in detector.modules() if hasattr(m, "attention_operands")]
    similarities = [m for m in detector.modules() if getattr(m, "is_similarity_product", False)]
    assert len(products) == (5 if version == 1 else 4)
    assert len(similarities) == 3
    for product in products:
        assert all(isinstance(getattr(product, operand), nn.Identity) for operand in product.attention_operands)


@pytest.mark.parametrize(("name", "version"), RUNNABLE)
def test_losses_are_finite_and_reach_every_parameter(name: str, version: int) -> None:
    detector = _build(name, version).train()
    images = torch.rand(2, 3, 64, 64)
    targets = (
        ImageTargets(torch.tensor([[4.0, 6.0, 40.0, 44.0], [20.0, 20.0, 60.0, 62.0]]), torch.tensor([1, 0])),
        ImageTargets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)),
    )
    losses = detector.loss(detector(images, torch.randn(3, detector.embedding_dim)), targets)
    assert set(losses) == {"loss_class", "loss_box", "loss_dfl"}
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(math.isfinite(value.item()) and value.item() > 0 for value in losses.values())
    unreached = [key for key, value in detector.named_parameters() if value.grad is None]
    assert unreached == []


@pytest.mark.parametrize(("name", "version"), RUNNABLE)
def test_a_batch_without_objects_and_one_prompt(name: str, version: int) -> None:
    detector = _build(name, version).train()
    empty = ImageTargets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    output = detector(torch.rand(2, 3, 32, 32), torch.randn(1, detector.embedding_dim))
    losses = detector.loss(output, (empty, empty))
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert losses["loss_box"].item() == 0 == losses["loss_dfl"].item()
    assert detector.assign(output, (empty, empty)).score_P.shape == (0,)
    for found in detector.detect(output, score_threshold=0.999, max_detections=5):
        assert len(found) == 0
        assert found.boxes_M4.shape == (0, 4)


@pytest.mark.parametrize(("name", "version"), RUNNABLE)
def test_prompt_order_moves_columns_and_nothing_else(name: str, version: int) -> None:
    detector = _build(name, version).double().eval()
    images = torch.rand(2, 3, 64, 32, dtype=torch.float64)
    text = 3 * torch.randn(6, detector.embedding_dim, dtype=torch.float64)
    order = torch.randperm(6)
    with torch.no_grad():
        first, second = detector(images, text), detector(images, text[order])
    assert first.class_logits_BNK.std(dim=(0, 1)).min() > 1e-3, "the comparison needs a signal"
    torch.testing.assert_close(second.class_logits_BNK, first.class_logits_BNK[..., order], rtol=0, atol=1e-11)
    torch.testing.assert_close(second.boxes_BN4, first.boxes_BN4, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "version"), RUNNABLE)
def test_per_image_text_equals_each_image_alone(name: str, version: int) -> None:
    detector = _build(name, version).double().eval()
    images = torch.rand(2, 3, 32, 64, dtype=torch.float64)
    text = torch.randn(2, 4, detector.embedding_dim, dtype=torch.float64)
    with torch.no_grad():
        together = detector(images, text)
        for index in range(2):
            alone = detector(images[index : index + 1], text[index])
            torch.testing.assert_close(together.class_logits_BNK[index], alone.class_logits_BNK[0], rtol=0, atol=1e-11)
            torch.testing.assert_close(together.boxes_BN4[index], alone.boxes_BN4[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "version"), RUNNABLE)
def test_assign_indexes_its_own_targets(name: str, version: int) -> None:
    detector = _build(name, version).eval()
    targets = (
        ImageTargets(torch.tensor([[0.0, 0.0, 63.0, 63.0]]), torch.tensor([2])),
        ImageTargets(torch.tensor([[0.0, 0.0, 20.0, 20.0], [30.0, 10.0, 60.0, 60.0]]), torch.tensor([0, 1])),
    )
    output = detector(torch.rand(2, 3, 64, 64), torch.randn(3, detector.embedding_dim))
    positives = detector.assign(output, targets)
    assert len(positives.score_P) > 0
    for image, place, prompt in zip(positives.image_P, positives.object_P, positives.prompt_P, strict=True):
        assert targets[int(image)].labels_M[int(place)] == prompt
    assert not positives.score_P.requires_grad
    assert bool(((positives.score_P >= 0) & (positives.score_P <= 1)).all())


def test_backbone_features_are_those_of_the_whole_detector() -> None:
    detector = _build("yolo_world_open_shapes", 2).eval()
    images = torch.rand(1, 3, 64, 64)
    alone = detector.backbone_features(images)
    whole = detector(images, torch.randn(3, 64), return_features=True).features
    assert all(torch.equal(alone[name], whole[name]) for name in ("c3", "c4", "c5"))


def test_an_unknown_detector_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"Did you mean 'yolo_world_s'"):
        build_detector("yolo_wrld_s")
