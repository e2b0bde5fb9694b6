"""Detection losses against numbers worked out by hand and against the textbook form."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.common.assigner import Assignment
from crqat_pipeline.detectors.common.losses import LossSpec, class_cross_entropy, detection_losses, distribution_focal
from crqat_pipeline.detectors.common.targets import FlatTargets
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import DetectorOutput


def test_dfl_by_hand() -> None:
    bins = torch.zeros(1, 4, 4)
    bins[0, 0] = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    distances = torch.tensor([[1.25, -3.0, 2.0, 99.0]])  # the others: clamped, uniform bins
    first = -(0.75 * math.log(0.2) + 0.25 * math.log(0.3))
    assert distribution_focal(bins, distances).item() == pytest.approx((first + 3 * math.log(4)) / 4, rel=1e-6)


def test_a_distance_beyond_the_last_bin_is_clamped_to_just_below_it() -> None:
    bins = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).expand(1, 4, 4)
    expected = -(0.01 * math.log(0.3) + 0.99 * math.log(0.4))
    assert distribution_focal(bins, torch.full((1, 4), 99.0)).item() == pytest.approx(expected, rel=1e-5)


def test_sparse_cross_entropy_equals_the_dense_one() -> None:
    logits = 5 * torch.randn(2, 7, 3, dtype=torch.float64)
    targets = torch.zeros_like(logits)
    targets[0, 4, 1], targets[1, 6, 2] = 0.75, 0.5
    where = (torch.tensor([0, 1]), torch.tensor([4, 6]), torch.tensor([1, 2]))
    sparse = class_cross_entropy(logits, *where, torch.tensor([0.75, 0.5], dtype=torch.float64))
    dense = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    torch.testing.assert_close(sparse, dense)


def _one_positive(score: float) -> tuple[DetectorOutput, Assignment, FlatTargets]:
    """Two images; in the first, region 0 predicts [0, 0, 16, 8] for the object [0, 0, 16, 16]."""
    output = DetectorOutput(
        class_logits_BNK=torch.zeros(2, 2, 3),
        boxes_BN4=torch.tensor([[0.0, 0.0, 16.0, 8.0], [0.0, 0.0, 8.0, 8.0]]).expand(2, 2, 4),
        region_embeddings_BND=torch.zeros(2, 2, 4),
        text_embeddings=torch.zeros(3, 4),
        box_bins_BN4R=torch.zeros(2, 2, 4, 8),
        family={
            "anchor_points_N2": torch.tensor([[4.0, 4.0], [12.0, 4.0]]),
            "strides_N": torch.tensor([8.0, 8.0]),
        },
    )
    zero = torch.tensor([0])
    flat = FlatTargets(torch.tensor([[0.0, 0.0, 16.0, 16.0]]), torch.tensor([2]), zero, zero)
    return output, Assignment(zero, zero, zero, torch.tensor([score])), flat


def test_the_three_losses_by_hand() -> None:
    spec = LossSpec(class_weight=0.5, box_weight=7.5, dfl_weight=1.5, scale_by_batch=True)
    losses = detection_losses(*_one_positive(0.8), spec)
    aspect = 4 / math.pi**2 * (math.atan(1) - math.atan(2)) ** 2
    overlap = 0.5 - 16 / 512 - aspect**2 / (aspect - 0.5 + 1)
    # 12 logits of 0 cost ln 2 each, whatever the target; S = max(0.8, 1) = 1; times 2 images
    assert losses["loss_class"].item() == pytest.approx(0.5 * 2 * 12 * math.log(2), rel=1e-6)
    assert losses["loss_box"].item() == pytest.approx(7.5 * 2 * 0.8 * (1 - overlap), rel=1e-5)
    assert losses["loss_dfl"].item() == pytest.approx(1.5 * 2 * 0.8 * math.log(8), rel=1e-6)


def test_scores_above_one_in_sum_divide_and_the_batch_factor_is_an_option() -> None:
    spec = LossSpec()
    summed = detection_losses(*_one_positive(4.0), spec)
    plain = detection_losses(*_one_positive(4.0), spec.model_copy(update={"scale_by_batch": False}))
    assert summed["loss_dfl"].item() == pytest.approx(1.5 * 2 * math.log(8), rel=1e-6)
    assert all(summed[name].item() == pytest.approx(2 * plain[name].item()) for name in summed)


def test_the_rows_choose_the_batch_factor() -> None:
    with torch.device("meta"):
        assert build_detector("yolo_world_s").spec.loss == LossSpec(scale_by_batch=True)
        assert not build_detector("yolo_world_open_shapes").spec.loss.scale_by_batch


def test_a_few_steps_learn_one_box() -> None:
    torch.manual_seed(0)
    detector = build_detector("yolo_world_open_shapes").train()
    images, text = torch.rand(2, 3, 64, 64), torch.randn(3, 64)
    target = ImageTargets(torch.tensor([[10.0, 12.0, 50.0, 44.0]]), torch.tensor([1]))
    optimizer = torch.optim.AdamW(detector.parameters(), 3e-3)
    history = []
    for _ in range(15):
        loss = sum(detector.loss(detector(images, text), (target, target)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.6 * history[0]
