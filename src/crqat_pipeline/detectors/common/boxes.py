"""Anchor points and box decoding.

Shape letters: B images, N regions, R bins per side. Boxes are pixel xyxy of the input image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def anchor_grid(sizes: Sequence[tuple[int, int]], strides_px: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Cell centres (N, 2) as x, y in pixels and the stride (N,) of each cell.

    sizes: (height, width) of each level's map; levels in order, row-major inside a level. `like` gives the
    device; the dtype is its own, at least float32.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    points, strides = [], []
    for (height, width), stride in zip(sizes, strides_px, strict=True):
        y = (torch.arange(height, device=like.device, dtype=dtype) + 0.5) * stride
        x = (torch.arange(width, device=like.device, dtype=dtype) + 0.5) * stride
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        points.append(torch.stack((grid_x, grid_y), dim=-1).flatten(0, 1))
        strides.append(torch.full((height * width,), float(stride), device=like.device, dtype=dtype))
    return torch.cat(points), torch.cat(strides)


def decode_boxes(box_bins_BN4R: Tensor, points_N2: Tensor, strides_N: Tensor) -> Tensor:
    """(B, N, 4) pixel xyxy: each side's distance is the mean bin of its softmax, in strides.

    Half precision is widened to float32 first. The mean is written out: softmax over 8 bins is slow on CPU.
    """
    if box_bins_BN4R.dtype in (torch.float16, torch.bfloat16):
        box_bins_BN4R = box_bins_BN4R.float()
    bins_R = torch.arange(box_bins_BN4R.shape[-1], device=box_bins_BN4R.device, dtype=box_bins_BN4R.dtype)
    weights_BN4R = (box_bins_BN4R - box_bins_BN4R.detach().amax(dim=-1, keepdim=True)).exp()
    mean_bin_BN4 = (weights_BN4R * bins_R).sum(dim=-1) / weights_BN4R.sum(dim=-1)
    distances_BN4 = mean_bin_BN4 * strides_N[:, None]
    top_left_BN2, bottom_right_BN2 = distances_BN4.chunk(2, dim=-1)
    return torch.cat((points_N2 - top_left_BN2, points_N2 + bottom_right_BN2), dim=-1)
