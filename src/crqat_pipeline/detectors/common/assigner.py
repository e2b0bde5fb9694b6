"""Task-aligned assignment of anchors to objects (TOOD, Feng et al. 2021).

Shape letters: B images, N anchors of an image, K prompts, O objects of the batch, Q candidates, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from crqat_pipeline.detectors.common.targets import FlatTargets
from crqat_pipeline.structures.box_overlap import complete_iou

INSIDE_EPS_PX = 1e-9
SCORE_EPS = 1e-9


class AssignerSpec(BaseModel):
    """Task-aligned assigner (TOOD, Feng et al. 2021)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_candidates: int = Field(10, ge=1, description="Anchors kept per object before conflicts (topk of TAL)")
    score_power: float = Field(0.5, ge=0, description="alpha: exponent of the class score in the alignment")
    overlap_power: float = Field(6.0, ge=0, description="beta: exponent of the CIoU in the alignment")


@dataclass(frozen=True)
class Assignment:
    """One row per positive anchor: its image, region, object (index into FlatTargets), target score in [0, 1]."""

    image_P: Tensor
    region_P: Tensor
    object_P: Tensor
    score_P: Tensor


@torch.no_grad()
def assign_task_aligned(
    class_logits_BNK: Tensor, boxes_BN4: Tensor, points_N2: Tensor, targets: FlatTargets, spec: AssignerSpec
) -> Assignment:
    """Positives of a batch, ordered by image and region.

    Overlap u = max(CIoU, 0), alignment t = sigmoid(logit of the object's class)^alpha * u^beta. Each object takes
    the `num_candidates` anchors with the largest positive t among those whose centre lies inside it. An anchor
    taken by several objects goes to the object of its image with the largest u. Target score:
    t / (max t of the object) * (max u of the object), the maxima over its positives.
    """
    num_regions, num_objects = boxes_BN4.shape[1], targets.labels_O.shape[0]

    def metrics(object_Q: Tensor, region_Q: Tensor) -> tuple[Tensor, Tensor]:
        image_Q = targets.image_O[object_Q]
        overlap_Q = complete_iou(boxes_BN4[image_Q, region_Q], targets.boxes_O4[object_Q]).clamp(min=0)
        score_Q = class_logits_BNK[image_Q, region_Q, targets.labels_O[object_Q]].sigmoid()
        return score_Q.pow(spec.score_power) * overlap_Q.pow(spec.overlap_power), overlap_Q

    object_Q, region_Q = _centres_inside(points_N2, targets.boxes_O4).nonzero(as_tuple=True)
    alignment_ON = boxes_BN4.new_zeros(num_objects, num_regions)
    alignment_ON[object_Q, region_Q] = metrics(object_Q, region_Q)[0]
    best = alignment_ON.topk(min(spec.num_candidates, num_regions), dim=1)
    object_Q, rank_Q = (best.values > 0).nonzero(as_tuple=True)
    region_Q = best.indices[object_Q, rank_Q]

    object_P, anchor_P = _resolve_conflicts(object_Q, region_Q, boxes_BN4, targets)
    region_P = anchor_P % num_regions
    alignment_P, overlap_P = metrics(object_P, region_P)
    zeros_O = boxes_BN4.new_zeros(num_objects)
    top_alignment_O = zeros_O.scatter_reduce(0, object_P, alignment_P, "amax")
    top_overlap_O = zeros_O.scatter_reduce(0, object_P, overlap_P, "amax")
    score_P = alignment_P / (top_alignment_O[object_P] + SCORE_EPS) * top_overlap_O[object_P]
    return Assignment(targets.image_O[object_P], region_P, object_P, score_P)


def _centres_inside(points_N2: Tensor, boxes_O4: Tensor) -> Tensor:
    """(O, N) whether an anchor's centre lies strictly inside an object."""
    top_left_ON2 = points_N2 - boxes_O4[:, None, :2]
    bottom_right_ON2 = boxes_O4[:, None, 2:] - points_N2
    return torch.minimum(top_left_ON2, bottom_right_ON2).amin(dim=2) > INSIDE_EPS_PX


def _resolve_conflicts(
    object_Q: Tensor, region_Q: Tensor, boxes_BN4: Tensor, targets: FlatTargets
) -> tuple[Tensor, Tensor]:
    """Every claimed anchor once: its object, and its index into the (B * N) anchors, in ascending order."""
    num_images, num_regions = boxes_BN4.shape[:2]
    anchor_Q = targets.image_O[object_Q] * num_regions + region_Q
    anchor_P, claim_Q, count_P = torch.unique(anchor_Q, return_inverse=True, return_counts=True)
    object_P = torch.zeros_like(anchor_P).scatter_(0, claim_Q, object_Q)
    (contested,) = (count_P > 1).nonzero(as_tuple=True)
    if contested.numel():
        anchor_C = anchor_P[contested]
        is_same_image_CO = (anchor_C // num_regions)[:, None] == targets.image_O
        row_E, rival_E = is_same_image_CO.nonzero(as_tuple=True)
        boxes_C4 = boxes_BN4.reshape(num_images * num_regions, 4)[anchor_C]
        overlap_E = complete_iou(boxes_C4[row_E], targets.boxes_O4[rival_E]).clamp(min=0)
        overlap_CO = boxes_BN4.new_full(is_same_image_CO.shape, -1.0)
        overlap_CO[row_E, rival_E] = overlap_E
        object_P[contested] = overlap_CO.argmax(dim=1)
    return object_P, anchor_P
