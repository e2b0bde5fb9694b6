"""Text-centric relational knowledge distillation (TRKD; CR-QAT, arXiv 2603.05964).

    S_c = X̂_c X̂_cᵀ,   X_c = [t_c, v_c1, …, v_cN]
    L_TRKD = 1/|C| Σ_c 1/(1+N_c)² Σ_ij smoothL1_δ(S^student_c,ij − S^teacher_c,ij)

Shape letters: B images, N regions, D embedding, P positives, G query groups, T tokens of a group.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from crqat_pipeline.distillation.loss import LossSpec, TeacherView
from crqat_pipeline.distillation.relations import QueryGroups, group_by_query, relation_matrices
from crqat_pipeline.runtime.ranks import share_of_ranks
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions


class TrkdSpec(LossSpec):
    """Relations of regions and texts, of neck and head."""

    weight: float = Field(ge=0, description="λ of the neck + head; 6 in the paper")
    delta: float = Field(
        default=1.0,
        gt=0,
        description="Threshold of the smooth L1. The paper does not state it; at 1 the loss is quadratic.",
    )
    relations: Literal["both", "region_text", "region_region"] = Field(
        default="both", description="Which entries of the relation matrix count (paper, ablation on TRKD)"
    )
    embedding: Literal["scored", "raw"] = Field(
        default="scored",
        description="Which embedding is related: the one that the score compares with text, or the one before version "
        "2's BatchNorm; the paper does not say",
    )
    across_queries: bool = Field(
        default=False, description="One matrix per image over all its queries; not in the paper"
    )


def counted_entries(groups: QueryGroups, relations: str) -> Tensor:
    """Mask (G, T, T) of the entries that count; pairs of two texts are constant and never count."""
    mask_GTT = groups.token_mask_GT[:, :, None] & groups.token_mask_GT[:, None, :]
    row_GT1, column_G1T = groups.is_text_GT[:, :, None], groups.is_text_GT[:, None, :]
    if relations == "region_text":
        return mask_GTT & (row_GT1 ^ column_G1T)
    if relations == "region_region":
        return mask_GTT & ~row_GT1 & ~column_G1T
    return mask_GTT & ~(row_GT1 & column_G1T)


def trkd(student: DetectorOutput, teacher: TeacherView, spec: TrkdSpec) -> dict[str, Tensor]:
    """Row of LOSSES, at the teacher's positives."""
    assert teacher.output is not None
    assert teacher.positives is not None
    loss = trkd_loss(
        _related(student, spec),
        _related(teacher.output, spec),
        teacher.output.text_embeddings,
        teacher.positives,
        spec,
    )
    return {"trkd": loss}


def _related(output: DetectorOutput, spec: TrkdSpec) -> Tensor:
    """(B, N, D) whose relations are compared. Families without a norm in between have one embedding only."""
    raw_BND = output.raw_region_embeddings_BND
    return raw_BND if spec.embedding == "raw" and raw_BND is not None else output.region_embeddings_BND


def trkd_loss(
    student_regions_BND: Tensor,
    teacher_regions_BND: Tensor,
    text_embeddings: Tensor,
    positives: PositiveRegions,
    spec: TrkdSpec,
) -> Tensor:
    """Unweighted L_TRKD, a scalar ≥ 0; 0 for equal embeddings and when there are no positives.

    `positives` are the teacher's; the student is read at the same positions. text_embeddings: (K, D) or
    (B, K, D), the same for both. Every query counts equally, whatever its number of regions.
    """
    if len(positives.region_P) == 0:
        share_of_ranks(0, like=student_regions_BND)  # other workers have groups, and ask how many there are in all
        return student_regions_BND[:0].sum()  # connected to the student, and 0 whatever its embeddings hold
    groups = group_by_query(positives, spec.across_queries)
    where = (positives.image_P, positives.region_P)
    student_GTT = relation_matrices(groups, student_regions_BND[where], text_embeddings)
    teacher_GTT = relation_matrices(groups, teacher_regions_BND[where].detach(), text_embeddings)
    loss_GTT = F.smooth_l1_loss(student_GTT, teacher_GTT, beta=spec.delta, reduction="none")
    loss_G = (loss_GTT * counted_entries(groups, spec.relations)).sum((1, 2))
    share = share_of_ranks(len(groups), like=loss_G)
    return (loss_G / groups.token_mask_GT.sum(1).square()).mean() * share
