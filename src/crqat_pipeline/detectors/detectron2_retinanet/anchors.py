"""Anchors of RetinaNet, and boxes relative to them, as detectron2 defines both.

Shape letters: B images, A anchors of a cell, N regions, P positives. Boxes are pixel xyxy of the input image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from crqat_pipeline.detectors.detectron2_retinanet.spec import RetinaNetSpec

LONGEST_LOG_RATIO = math.log(1000 / 16)


def anchor_boxes(sizes: Sequence[tuple[int, int]], spec: RetinaNetSpec, like: Tensor) -> Tensor:
    """(N, 4): levels finest first, row-major inside a level, then scales and inside each the aspect ratios.

    sizes: (height, width) of each level's map. `like` gives device and dtype, the latter at least float32.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    levels = []
    for (height, width), stride in zip(sizes, spec.strides_px, strict=True):
        halves = torch.tensor(_half_sides(spec, stride), dtype=dtype, device=like.device)
        y = (torch.arange(height, device=like.device, dtype=dtype) + spec.anchor_offset) * stride
        x = (torch.arange(width, device=like.device, dtype=dtype) + spec.anchor_offset) * stride
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack((grid_x, grid_y), dim=-1).reshape(-1, 1, 2)
        levels.append(torch.cat((centres - halves, centres + halves), dim=-1).flatten(0, 1))
    return torch.cat(levels)


def decode(deltas_BN4: Tensor, anchors_N4: Tensor) -> Tensor:
    """(B, N, 4) boxes: centres move by deltas in sides of the anchor, sides grow by their exponential."""
    deltas_BN4 = deltas_BN4.to(anchors_N4.dtype)
    sides_N2 = anchors_N4[:, 2:] - anchors_N4[:, :2]
    centres_BN2 = (anchors_N4[:, :2] + anchors_N4[:, 2:]) / 2 + deltas_BN4[..., :2] * sides_N2
    halves_BN2 = deltas_BN4[..., 2:].clamp(max=LONGEST_LOG_RATIO).exp() * sides_N2 / 2
    return torch.cat((centres_BN2 - halves_BN2, centres_BN2 + halves_BN2), dim=-1)


def encode(boxes_P4: Tensor, anchors_P4: Tensor) -> Tensor:
    """(P, 4): the deltas that `decode` turns into these boxes."""
    sides_P2 = anchors_P4[:, 2:] - anchors_P4[:, :2]
    shift_P2 = (boxes_P4[:, :2] + boxes_P4[:, 2:] - anchors_P4[:, :2] - anchors_P4[:, 2:]) / 2
    growth_P2 = ((boxes_P4[:, 2:] - boxes_P4[:, :2]) / sides_P2).clamp(min=1e-6).log()
    return torch.cat((shift_P2 / sides_P2, growth_P2), dim=-1)


def _half_sides(spec: RetinaNetSpec, stride_px: int) -> list[tuple[float, float]]:
    """Half width and half height of each anchor of a cell, in pixels; a ratio keeps the area."""
    return [
        (scale * stride_px / math.sqrt(ratio) / 2, scale * stride_px * math.sqrt(ratio) / 2)
        for scale in spec.anchor_scales
        for ratio in spec.aspect_ratios
    ]
