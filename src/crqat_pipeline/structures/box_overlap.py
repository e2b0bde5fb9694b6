"""How much boxes overlap: IoU, and the complete IoU of detection losses, label assignment and distillation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CIOU_EPS = 1e-7


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """Complete IoU of boxes (..., 4) that broadcast; result (...), in (-2, 1], 1 for equal boxes.

    IoU minus the squared centre distance in units of the enclosing diagonal, minus alpha times the aspect
    term v; alpha carries no gradient (Zheng et al. 2020).
    """
    x1, y1, x2, y2 = first.unbind(-1)
    u1, v1, u2, v2 = second.unbind(-1)
    width, height = x2 - x1, y2 - y1 + CIOU_EPS
    other_width, other_height = u2 - u1, v2 - v1 + CIOU_EPS
    inner_width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp(min=0)
    inner_height = (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp(min=0)
    intersection = inner_width * inner_height
    iou = intersection / (width * height + other_width * other_height - intersection + CIOU_EPS)
    outer_width = torch.maximum(x2, u2) - torch.minimum(x1, u1)
    outer_height = torch.maximum(y2, v2) - torch.minimum(y1, v1)
    diagonal = outer_width.square() + outer_height.square() + CIOU_EPS
    distance = ((u1 + u2 - x1 - x2).square() + (v1 + v2 - y1 - y2).square()) / 4
    aspect = (4 / math.pi**2) * (torch.atan(other_width / other_height) - torch.atan(width / height)).square()
    with torch.no_grad():
        alpha = aspect / (aspect - iou + (1 + CIOU_EPS))
    return iou - distance / diagonal - alpha * aspect


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of boxes (..., 4) that broadcast; result (...), in [0, 1]."""
    inner_2 = (torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])).clamp(
        min=0
    )
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (first, second)]
    intersection = inner_2.prod(-1)
    return intersection / (areas[0] + areas[1] - intersection + CIOU_EPS)
