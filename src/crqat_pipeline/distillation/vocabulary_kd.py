"""Vocabulary distillation: the teacher's soft answers to many prompts take the place of labels (not in the paper).

Text costs no images: an unlabelled image can be asked about any prompt, and the teacher answers. Class scores by binary
cross-entropy, boxes by complete IoU (Zheng et al. 2020), box distributions by Kullback–Leibler divergence.

Shape letters: B images, N regions, K prompts, R bins per side, P regions where the teacher is confident.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from crqat_pipeline.distillation.loss import LossSpec, TeacherView
from crqat_pipeline.runtime.precision import widened
from crqat_pipeline.runtime.ranks import sum_over_ranks
from crqat_pipeline.structures.box_overlap import complete_iou, paired_iou
from crqat_pipeline.structures.output import DetectorOutput


class VocabularyKdSpec(LossSpec):
    """The teacher's soft answers to all prompts; the defaults are the weights of the small detector's own losses."""

    weight: float = Field(default=1.0, ge=0, description="Of the three together")
    class_weight: float = Field(default=0.5, ge=0, description="Of the scores of all regions and prompts")
    box_weight: float = Field(default=1.875, ge=0, description="Of 1 - CIoU with the teacher's boxes")
    bins_weight: float = Field(default=0.375, ge=0, description="Of the distributions of the box sides")
    min_score: float = Field(
        default=0.05, gt=0, lt=1, description="Boxes count where the teacher's best score is above this"
    )
    disagreement_weight: float = Field(
        default=0.0,
        ge=0,
        description="γ: a region where the student's score and its box's IoU disagree, each relative to the teacher, "
        "counts 1 + γ |min(s / t, 1) - IoU|; 0: all count alike",
    )


def vocabulary_kd(student: DetectorOutput, teacher: TeacherView, spec: VocabularyKdSpec) -> dict[str, Tensor]:
    """Row of LOSSES."""
    assert teacher.output is not None
    return vocabulary_kd_losses(student, teacher.output, spec)


def vocabulary_kd_losses(student: DetectorOutput, teacher: DetectorOutput, spec: VocabularyKdSpec) -> dict[str, Tensor]:
    """kd_class, kd_box and (where both have distributions) kd_bins: weighted scalars, 0 for equal outputs.

    kd_class: Σ BCE(student logit, teacher score) minus the teacher's own entropy. kd_box and kd_bins: over the P
    regions, weighted by the teacher's best score. All are divided by the sum of the teacher's scores (at least 1) for
    the whole batch, of all workers. With disagreement_weight, regions of P that disagree count more in all three.
    """
    target_BNK = widened(teacher.class_logits_BNK.detach()).sigmoid()
    normalizer = sum_over_ranks(target_BNK.sum()).clamp(min=1.0)
    logits_BNK = widened(student.class_logits_BNK)
    entropy = F.binary_cross_entropy(target_BNK, target_BNK, reduction="sum")
    surprise = F.binary_cross_entropy_with_logits(logits_BNK, target_BNK, reduction="sum")
    best_BN = target_BNK.amax(dim=-1)
    where = best_BN > spec.min_score
    weight_P = best_BN[where]
    if spec.disagreement_weight:
        more_P = spec.disagreement_weight * disagreement(student, teacher, where)
        surprise = surprise + (more_P * _divergence(logits_BNK[where], target_BNK[where])).sum()
        weight_P = weight_P * (1 + more_P)
    losses = {"kd_class": spec.class_weight * (surprise - entropy) / normalizer}

    box_loss_P = 1 - complete_iou(widened(student.boxes_BN4[where]), widened(teacher.boxes_BN4[where].detach()))
    losses["kd_box"] = spec.box_weight * (weight_P * box_loss_P).sum() / normalizer
    if student.box_bins_BN4R is not None and teacher.box_bins_BN4R is not None:
        own_P4R = widened(student.box_bins_BN4R[where]).log_softmax(dim=-1)
        wanted_P4R = widened(teacher.box_bins_BN4R[where].detach()).log_softmax(dim=-1)
        divergence_P = F.kl_div(own_P4R, wanted_P4R, reduction="none", log_target=True).sum(-1).mean(-1)
        losses["kd_bins"] = spec.bins_weight * (weight_P * divergence_P).sum() / normalizer
    return losses


@torch.no_grad()
def disagreement(student: DetectorOutput, teacher: DetectorOutput, where_BN: Tensor) -> Tensor:
    """|min(s / t, 1) - IoU| (P,) in [0, 1] of the regions of a mask (B, N); 0 where the student answers as the teacher.

    s and t: scores of student and teacher for the prompt that the teacher scores highest. IoU: of their boxes. A
    detection that is scored high and lies wrong, or lies right and is scored low, ranks in the wrong place (the
    harmony of tasks in quantized detectors, arXiv 2408.02561; here the teacher's box takes the place of labels).
    """
    wanted_PK = widened(teacher.class_logits_BNK[where_BN]).sigmoid()
    score_P, prompt_P = wanted_PK.max(dim=-1)
    own_P = widened(student.class_logits_BNK[where_BN]).sigmoid().gather(1, prompt_P[:, None])[:, 0]
    overlap_P = paired_iou(widened(student.boxes_BN4[where_BN]), widened(teacher.boxes_BN4[where_BN]))
    return ((own_P / score_P).clamp(max=1.0) - overlap_P).abs()


def _divergence(logits_PK: Tensor, target_PK: Tensor) -> Tensor:
    """Binary cross-entropy above the target's own entropy, summed over prompts, (P,)."""
    surprise_PK = F.binary_cross_entropy_with_logits(logits_PK, target_PK, reduction="none")
    return (surprise_PK - F.binary_cross_entropy(target_PK, target_PK, reduction="none")).sum(-1)
