"""Which query stands for which object: one to one for the losses, the best K of each object for distillation.

Boxes are cx, cy, w, h in units of the image. Shape letters: N queries, K prompts, O objects of one image.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_convert, box_iou, generalized_box_iou

from crqat_pipeline.detectors.omdet_turbo.spec import QueryLossSpec

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0
EPS = 1e-8


def corners(boxes: Tensor) -> Tensor:
    """x1, y1, x2, y2 of boxes (..., 4)."""
    converted: Tensor = box_convert(boxes, "cxcywh", "xyxy")
    return converted


@torch.no_grad()
def matching_costs(
    logits_NK: Tensor, boxes_N4: Tensor, labels_O: Tensor, objects_O4: Tensor, spec: QueryLossSpec
) -> Tensor:
    """(N, O): focal class cost, L1 and generalized IoU, weighted."""
    score_NO = logits_NK.sigmoid()[:, labels_O].float()
    positive_NO = FOCAL_ALPHA * (1 - score_NO).pow(FOCAL_GAMMA) * -(score_NO + EPS).log()
    negative_NO = (1 - FOCAL_ALPHA) * score_NO.pow(FOCAL_GAMMA) * -(1 - score_NO + EPS).log()
    distance_NO = torch.cdist(boxes_N4.float(), objects_O4.float(), p=1)
    overlap_NO = generalized_box_iou(corners(boxes_N4.float()), corners(objects_O4.float()))
    cost_NO = spec.class_cost * (positive_NO - negative_NO) + spec.box_cost * distance_NO
    total_NO: Tensor = cost_NO - spec.giou_cost * overlap_NO
    return total_NO


def match_one_to_one(cost_NO: Tensor) -> tuple[Tensor, Tensor]:
    """Query and object of each pair of the cheapest matching (Hungarian); at most min(N, O) pairs."""
    query, place = linear_sum_assignment(cost_NO.detach().cpu().numpy())
    return torch.as_tensor(query, device=cost_NO.device), torch.as_tensor(place, device=cost_NO.device)


def match_best(cost_NO: Tensor, per_object: int) -> tuple[Tensor, Tensor]:
    """The `per_object` cheapest queries of each object, as (queries ascending, their objects).

    A query that several objects want goes to the one for which it is cheapest.
    """
    num_queries, num_objects = cost_NO.shape
    if num_objects == 0:
        return torch.zeros(2, 0, dtype=torch.int64, device=cost_NO.device).unbind(0)  # type: ignore[return-value]
    wanted_NO = torch.zeros_like(cost_NO, dtype=torch.bool)
    best = cost_NO.topk(min(per_object, num_queries), dim=0, largest=False).indices
    wanted_NO.scatter_(0, best, True)
    (query_P,) = wanted_NO.any(dim=1).nonzero(as_tuple=True)
    object_P = torch.where(wanted_NO, cost_NO, torch.inf)[query_P].argmin(dim=1)
    return query_P, object_P


def overlaps(boxes_P4: Tensor, objects_P4: Tensor) -> Tensor:
    """IoU of each pair, in [0, 1]."""
    overlap_P: Tensor = box_iou(corners(boxes_P4), corners(objects_P4)).diagonal().clamp(0, 1)
    return overlap_P
