"""Losses of anchor-free one-stage detectors: binary cross-entropy over prompts, complete IoU, distribution focal loss.

Shape letters: B images, N regions, K prompts, R bins per side, P positives, O objects.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from crqat_pipeline.detectors.common.assigner import Assignment
from crqat_pipeline.detectors.common.targets import FlatTargets
from crqat_pipeline.runtime.ranks import count_over_ranks, sum_over_ranks
from crqat_pipeline.structures.box_overlap import complete_iou
from crqat_pipeline.structures.output import DetectorOutput


class LossSpec(BaseModel):
    """Weights of the detection losses; defaults are the released models' (YOLOv8 convention)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_weight: float = Field(0.5, ge=0, description="Weight of the binary cross-entropy over all prompts")
    box_weight: float = Field(7.5, ge=0, description="Weight of 1 - CIoU")
    dfl_weight: float = Field(1.5, ge=0, description="Weight of the distribution focal loss, mean over 4 sides")
    scale_by_batch: bool = Field(True, description="Multiply every loss by the number of images")


def detection_losses(
    output: DetectorOutput, assignment: Assignment, targets: FlatTargets, spec: LossSpec
) -> dict[str, Tensor]:
    """Weighted scalars loss_class, loss_box, loss_dfl, each >= 0.

    All are divided by S = max(sum of target scores of the batch, 1) and, with `scale_by_batch`, multiplied by
    the number of images; on several workers both are those of all. Prompts without an object, paddings included, are
    plain negatives. Without any object only loss_class is above zero; the others are zeros that still carry a gradient
    path.
    """
    image_P, region_P, score_P = assignment.image_P, assignment.region_P, assignment.score_P
    normalizer = sum_over_ranks(score_P.sum()).clamp(min=1.0)
    boxes_P4 = targets.boxes_O4[assignment.object_P]
    points_P2 = output.family["anchor_points_N2"][region_P]
    strides_P1 = output.family["strides_N"][region_P].unsqueeze(1)

    class_sum = class_cross_entropy(
        output.class_logits_BNK, image_P, region_P, targets.labels_O[assignment.object_P], score_P
    )
    box_sum = (score_P * (1 - complete_iou(output.boxes_BN4[image_P, region_P], boxes_P4))).sum()
    distances_P4 = torch.cat((points_P2 - boxes_P4[:, :2], boxes_P4[:, 2:] - points_P2), dim=1) / strides_P1
    assert output.box_bins_BN4R is not None
    focal_P = distribution_focal(output.box_bins_BN4R[image_P, region_P], distances_P4)
    dfl_sum = (score_P * focal_P).sum()

    num_images = count_over_ranks(output.class_logits_BNK.shape[0], like=normalizer) if spec.scale_by_batch else 1
    scale = num_images / normalizer
    return {
        "loss_class": spec.class_weight * scale * class_sum,
        "loss_box": spec.box_weight * scale * box_sum,
        "loss_dfl": spec.dfl_weight * scale * dfl_sum,
    }


def class_cross_entropy(
    class_logits_BNK: Tensor, image_P: Tensor, region_P: Tensor, prompt_P: Tensor, score_P: Tensor
) -> Tensor:
    """Sum over all (B, N, K) of BCE(logit, target); the target is score_P at the positives and 0 elsewhere.

    BCE(z, y) = softplus(z) - y z, so the targets never exist as a dense tensor.
    """
    negatives = functional.softplus(class_logits_BNK).sum()
    return negatives - (score_P * class_logits_BNK[image_P, region_P, prompt_P]).sum()


def distribution_focal(bins_P4R: Tensor, distances_P4: Tensor) -> Tensor:
    """(P,) mean over the sides of the cross-entropy with the two bins around the distance, in strides.

    Distances are clamped to [0, R - 1.01] (Li et al. 2020, Generalized Focal Loss, equation 6).
    """
    clamped_P4 = distances_P4.clamp(0, bins_P4R.shape[-1] - 1.01)
    lower_P4 = clamped_P4.floor()
    upper_share_P4 = clamped_P4 - lower_P4
    surprise_P4R = -bins_P4R.log_softmax(dim=-1)
    index_P41 = lower_P4.long().unsqueeze(-1)
    lower_loss_P4 = surprise_P4R.gather(-1, index_P41).squeeze(-1)
    upper_loss_P4 = surprise_P4R.gather(-1, index_P41 + 1).squeeze(-1)
    return (lower_loss_P4 * (1 - upper_share_P4) + upper_loss_P4 * upper_share_P4).mean(dim=-1)
