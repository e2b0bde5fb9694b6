"""Losses that the weights were trained with (Li et al. 2020, Generalized Focal Loss), on the project's assignment.

Box terms are those of crqat_pipeline.detectors.common.losses; the class term is the quality focal loss.

Shape letters: B images, N regions, K prompts, P positives.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from crqat_pipeline.detectors.common.assigner import Assignment
from crqat_pipeline.detectors.common.losses import LossSpec, detection_losses
from crqat_pipeline.detectors.common.targets import FlatTargets
from crqat_pipeline.structures.output import DetectorOutput

GENERALIZED_FOCAL = LossSpec(class_weight=1.0, box_weight=2.0, dfl_weight=0.25, scale_by_batch=False)
"""Weights of the paper; losses are divided by the sum of target scores and do not count images."""


def generalized_focal_losses(
    output: DetectorOutput, assignment: Assignment, targets: FlatTargets, spec: LossSpec
) -> dict[str, Tensor]:
    """loss_class, loss_box, loss_dfl: weighted scalars, divided by the sum of target scores (at least 1)."""
    losses = detection_losses(output, assignment, targets, spec)
    labels_P = targets.labels_O[assignment.object_P]
    class_sum = quality_focal(
        output.class_logits_BNK, assignment.image_P, assignment.region_P, labels_P, assignment.score_P
    )
    scale = output.class_logits_BNK.shape[0] if spec.scale_by_batch else 1
    losses["loss_class"] = spec.class_weight * scale * class_sum / assignment.score_P.sum().clamp(min=1.0)
    return losses


def quality_focal(
    class_logits_BNK: Tensor, image_P: Tensor, region_P: Tensor, prompt_P: Tensor, score_P: Tensor
) -> Tensor:
    """Sum over all (B, N, K) of (y - p)^2 BCE(p, y); y is score_P at the positives and 0 elsewhere."""
    as_negative_BNK = class_logits_BNK.sigmoid().square() * functional.softplus(class_logits_BNK)
    logit_P = class_logits_BNK[image_P, region_P, prompt_P]
    surprise_P = functional.binary_cross_entropy_with_logits(logit_P, score_P, reduction="none")
    as_positive_P = (score_P - logit_P.sigmoid()).square() * surprise_P
    return as_negative_BNK.sum() + (as_positive_P - as_negative_BNK[image_P, region_P, prompt_P]).sum()
