"""Contrasts with unnormalized text, box decoding and complete IoU by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.common.boxes import anchor_grid, decode_boxes
from crqat_pipeline.detectors.one_stage.contrast import Contrast
from crqat_pipeline.structures.box_overlap import complete_iou


def test_version_1_is_a_scaled_cosine() -> None:
    contrast = Contrast(3, initial_bias=-10.0, is_batch_normed=False)
    region = torch.tensor([3.0, 0.0, 4.0]).reshape(1, 3, 1, 1)
    text = torch.tensor([[[0.0, 0.0, 7.0], [-2.0, 0.0, 0.0]]])  # lengths 7 and 2 must not matter
    logits, related = contrast(region, text)
    assert related is region
    assert logits.flatten().tolist() == pytest.approx([0.8 / 0.07 - 10, -0.6 / 0.07 - 10], abs=1e-4)


def test_version_2_batch_normalizes_the_region_and_not_its_length() -> None:
    contrast = Contrast(2, initial_bias=0.0, is_batch_normed=True).eval()
    assert contrast.norm is not None
    with torch.no_grad():
        contrast.norm.running_mean.copy_(torch.tensor([1.0, 0.0]))
        contrast.norm.running_var.copy_(torch.tensor([4.0 - 1e-3, 1.0 - 1e-3]))
        contrast.norm.weight.copy_(torch.tensor([-1.0, 2.0]))  # a negative gain
    logits, related = contrast(torch.tensor([5.0, 3.0]).reshape(1, 2, 1, 1), torch.tensor([[[0.0, 10.0], [3.0, 4.0]]]))
    expected = [math.exp(-1) * 6.0, math.exp(-1) * (-2 * 0.6 + 6 * 0.8)]
    assert logits.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert related.flatten().tolist() == pytest.approx([-2.0, 6.0], abs=1e-6)


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_scores_are_read_off_the_region_embeddings(version: int, is_training: bool, enliven: Callable) -> None:
    detector = enliven(build_detector("yolo_world_open_shapes", version=version).double()).train(is_training)
    images, text = torch.rand(2, 3, 64, 96).double(), 3 * torch.randn(4, 64).double()
    with torch.no_grad():
        output = detector(images, text, return_features=True)
    contrasts = detector.head.contrasts
    level_N = torch.tensor([(8, 16, 32).index(int(stride)) for stride in output.family["strides_N"]])
    scale_N1, bias_N1 = (torch.stack([getattr(one, name) for one in contrasts])[level_N].detach().unsqueeze(1)
                         for name in ("logit_scale", "bias"))  # fmt: skip
    regions = output.region_embeddings_BND
    if version == 1:
        regions = functional.normalize(regions, dim=2)
    products = regions @ functional.normalize(text, dim=1).T
    torch.testing.assert_close(scale_N1.exp() * products + bias_N1, output.class_logits_BNK, rtol=0, atol=1e-10)
    assert output.raw_region_embeddings_BND is not None
    assert torch.equal(output.raw_region_embeddings_BND, output.region_embeddings_BND) == (version == 1)
    assert detector(images, text).raw_region_embeddings_BND is None


@pytest.mark.parametrize("version", [1, 2])
def test_the_neck_sees_the_text_as_given_and_the_head_its_direction(version: int, enliven: Callable) -> None:
    detector = enliven(build_detector("yolo_world_open_shapes", version=version).double())
    images, text = torch.rand(1, 3, 64, 64).double(), torch.randn(4, 64).double()
    unit = functional.normalize(text, dim=1)
    with torch.no_grad():
        given, normalized = detector(images, text), detector(images, unit)
        text_XKD = text.unsqueeze(0)
        maps = [detector.neck(detector.backbone(images), text_XKD)[name] for name in ("td_p3", "bu_p4", "bu_p5")]
        head = detector.head(maps, functional.normalize(text_XKD, dim=2))  # the head with unit text: no change
    assert not torch.allclose(given.class_logits_BNK, normalized.class_logits_BNK, atol=1e-6)
    torch.testing.assert_close(given.class_logits_BNK, head.class_logits_BNK, rtol=0, atol=1e-11)


def test_initial_values_are_the_published_ones() -> None:
    with torch.device("cpu"):
        first = build_detector("yolo_world_n", version=1)
    assert first.head.contrasts[0].logit_scale.item() == pytest.approx(2.6593, abs=1e-4)
    biases = [contrast.bias.item() for contrast in first.head.contrasts]
    assert biases == pytest.approx([-11.537, -10.150, -8.764], abs=1e-3)
    assert first.head.box_branches[0][-1].bias.unique().tolist() == [1.0]
    assert build_detector("yolo_world_open_shapes").head.contrasts[2].bias.item() == -6.0


def test_first_boxes_of_the_small_detector_are_as_large_as_a_levels_objects() -> None:
    branches = build_detector("yolo_world_open_shapes_2").head.box_branches
    for branch, stride_px in zip(branches, (8, 16, 32), strict=True):
        bins = branch[-1].bias.detach().reshape(1, 1, 4, 3)
        (box,) = decode_boxes(bins, torch.zeros(1, 2), torch.tensor([float(stride_px)]))[0].tolist()
        assert box == pytest.approx([-stride_px, -stride_px, stride_px, stride_px])


def test_decoding_by_hand() -> None:
    points, strides = anchor_grid([(1, 2), (1, 1)], (8, 16), like=torch.zeros(1))
    assert points.tolist() == [[4.0, 4.0], [12.0, 4.0], [8.0, 8.0]]
    assert strides.tolist() == [8.0, 8.0, 16.0]
    bins = torch.full((1, 3, 4, 4), -200.0)
    bins[..., 1] = 0.0  # every side one stride long
    bins[0, 2, 0] = 0.0  # left of the last cell: uniform over 0 ... 3
    boxes = decode_boxes(bins, points, strides)
    assert boxes[0].tolist() == [[-4, -4, 12, 12], [4, -4, 20, 12], [8 - 1.5 * 16, -8, 24, 24]]


def test_decoding_is_the_softmax_mean_and_widens_half_precision() -> None:
    points, strides = anchor_grid([(3, 5)], (8,), like=torch.zeros(1))
    bins = 3 * torch.randn(2, 15, 4, 16)
    mean = (bins.double().softmax(-1) * torch.arange(16).double()).sum(-1) * 8
    boxes = decode_boxes(bins, points, strides)
    torch.testing.assert_close((points - boxes[..., :2]).double(), mean[..., :2], rtol=1e-5, atol=1e-4)
    assert decode_boxes(bins.half(), points, strides).dtype == torch.float32


def test_complete_iou_by_hand() -> None:
    box = torch.tensor([0.0, 0.0, 4.0, 4.0])
    assert complete_iou(box, box).item() == pytest.approx(1.0, abs=1e-6)
    apart = complete_iou(box, torch.tensor([8.0, 0.0, 12.0, 4.0]))  # IoU 0, centre distance 8, diagonal^2 160
    assert apart.item() == pytest.approx(-64 / 160, abs=1e-6)
    half = complete_iou(box, torch.tensor([0.0, 0.0, 4.0, 2.0]))  # IoU 1/2, distance 1, diagonal^2 32
    aspect = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    assert half.item() == pytest.approx(0.5 - 1 / 32 - aspect**2 / (aspect - 0.5 + 1), abs=1e-6)


def test_the_aspect_weight_has_no_gradient() -> None:
    box = torch.tensor([0.0, 0.0, 3.9, 2.0], dtype=torch.float64, requires_grad=True)
    complete_iou(box, torch.tensor([1.0, 0.0, 4.0, 5.0], dtype=torch.float64)).backward()

    def parts(right: float) -> tuple[float, float, float]:
        inner = (right - 1.0) * 2.0
        iou = inner / (right * 2.0 + 15.0 - inner)
        distance = ((5.0 - right) ** 2 + (5.0 - 2.0) ** 2) / 4 / (4.0**2 + 5.0**2)
        return iou, distance, 4 / math.pi**2 * (math.atan(3 / 5) - math.atan(right / 2)) ** 2

    iou, _, aspect = parts(3.9)
    alpha = aspect / (aspect - iou + 1)
    step = 1e-5
    up, down = ((lambda p: p[0] - p[1] - alpha * p[2])(parts(3.9 + sign * step)) for sign in (1, -1))
    assert box.grad is not None
    assert box.grad[2].item() == pytest.approx((up - down) / (2 * step), abs=1e-6)
