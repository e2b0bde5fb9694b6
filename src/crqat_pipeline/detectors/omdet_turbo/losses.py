"""Training losses of a query-based detector: varifocal over prompts, L1 and generalized IoU, after every layer.

OmDet-Turbo's paper (Zhao et al. 2024) trains with the losses of the DETR family; transformers has none for it.

Shape letters: L answers, B images, N queries, K prompts, O objects, P matched pairs of the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss

from crqat_pipeline.detectors.common.targets import FlatTargets
from crqat_pipeline.detectors.omdet_turbo.matching import corners, match_one_to_one, matching_costs, overlaps
from crqat_pipeline.detectors.omdet_turbo.spec import QueryLossSpec
from crqat_pipeline.runtime.ranks import count_over_ranks

VARIFOCAL_ALPHA = 0.75
VARIFOCAL_GAMMA = 2.0


def query_losses(
    logits_LBNK: Tensor, boxes_LBN4: Tensor, objects_O4: Tensor, targets: FlatTargets, spec: QueryLossSpec
) -> dict[str, Tensor]:
    """Weighted scalars loss_class, loss_box, loss_giou, summed over the answers and divided by the number of objects.

    boxes_LBN4, objects_O4: cx, cy, w, h in units of the image. Without objects the class loss pushes all scores down
    and the others are zeros that still carry a gradient path.
    """
    normalizer = max(1, count_over_ranks(targets.labels_O.shape[0], like=boxes_LBN4))
    sums = [boxes_LBN4.sum() * 0.0 for _ in range(3)]
    for logits_BNK, boxes_BN4 in zip(logits_LBNK, boxes_LBN4, strict=True):
        image_P, query_P, object_P = _matched(logits_BNK, boxes_BN4, objects_O4, targets, spec)
        found_P4, wanted_P4 = boxes_BN4[image_P, query_P], objects_O4[object_P]
        goal_BNK = torch.zeros_like(logits_BNK)
        is_positive_BNK = torch.zeros_like(logits_BNK, dtype=torch.bool)
        where = (image_P, query_P, targets.labels_O[object_P])
        goal_BNK[where] = overlaps(found_P4.detach(), wanted_P4).to(goal_BNK.dtype)
        is_positive_BNK[where] = True
        sums[0] = sums[0] + varifocal(logits_BNK, goal_BNK, is_positive_BNK)
        sums[1] = sums[1] + (found_P4 - wanted_P4).abs().sum()
        sums[2] = sums[2] + generalized_box_iou_loss(corners(found_P4), corners(wanted_P4), reduction="sum")
    weights = {"loss_class": spec.class_weight, "loss_box": spec.box_weight, "loss_giou": spec.giou_weight}
    return {name: weight * total / normalizer for (name, weight), total in zip(weights.items(), sums, strict=True)}


def varifocal(logits: Tensor, goal: Tensor, is_positive: Tensor) -> Tensor:
    """Sum of binary cross-entropies; negatives weigh alpha p^gamma, positives their goal (Zhang et al. 2021)."""
    weight = VARIFOCAL_ALPHA * logits.detach().sigmoid().pow(VARIFOCAL_GAMMA)
    weight = torch.where(is_positive, goal, weight)
    return functional.binary_cross_entropy_with_logits(logits, goal, weight=weight, reduction="sum")


def _matched(
    logits_BNK: Tensor, boxes_BN4: Tensor, objects_O4: Tensor, targets: FlatTargets, spec: QueryLossSpec
) -> tuple[Tensor, Tensor, Tensor]:
    """Image, query and object (of FlatTargets) of every matched pair."""
    images, queries, objects = [], [], []
    for image in range(logits_BNK.shape[0]):
        (mine,) = (targets.image_O == image).nonzero(as_tuple=True)
        cost_NO = matching_costs(logits_BNK[image], boxes_BN4[image], targets.labels_O[mine], objects_O4[mine], spec)
        query, place = match_one_to_one(cost_NO)
        images.append(torch.full_like(query, image))
        queries.append(query)
        objects.append(mine[place])
    return torch.cat(images), torch.cat(queries), torch.cat(objects)
