"""How far a student's text–region space is from its teacher's (the paper's figures 1 and 3).

A group is one prompt in one image with the regions that the teacher assigned to it. Its similarity matrix S holds the
cosines of [text, region 1, …, region n]; row 0 is region–text alignment, the rest region–region alignment.

Shape letters: B images, N regions of an image, K prompts, D embedding, P positives, G groups, n regions of a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crqat_pipeline.evaluation.correlation import pearson, spearman
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions


@dataclass(frozen=True)
class GroupAlignment:
    """One group. matrix_teacher, matrix_student: (1+n, 1+n) cosines. confidence_*: (n,) scores of the regions for
    the group's prompt, in [0, 1].
    """

    image: int
    prompt: int
    matrix_teacher: Tensor
    matrix_student: Tensor
    confidence_teacher: Tensor
    confidence_student: Tensor

    @property
    def num_regions(self) -> int:
        return len(self.confidence_teacher)


@dataclass(frozen=True)
class AlignmentSummary:
    """Distances of a student to its teacher over many groups.

    region_text_mae, region_region_mae: mean absolute difference of cosines, averaged within a group, then over
    groups (groups of one region have no region–region pair). region_region_r: Pearson r of the teacher's and the
    student's region–region cosines over all pairs. confidence_teacher, confidence_student: mean score of positives.
    embedding_distortion_G: mean absolute difference of a group's cosines, text row included.
    confidence_distortion_G: mean absolute difference of its scores. distortion_rho: their Spearman correlation.
    """

    num_groups: int
    region_text_mae: float
    region_region_mae: float
    region_region_r: float
    confidence_teacher: float
    confidence_student: float
    embedding_distortion_G: tuple[float, ...]
    confidence_distortion_G: tuple[float, ...]
    distortion_rho: float


def _cosines(text_D: Tensor, regions_nD: Tensor) -> Tensor:
    rows = torch.cat([text_D[None], regions_nD]).double()
    rows = torch.nn.functional.normalize(rows, dim=-1)
    return (rows @ rows.T).cpu()


def group_alignments(
    teacher: DetectorOutput, student: DetectorOutput, positives: PositiveRegions, max_regions: int = 64
) -> list[GroupAlignment]:
    """The groups of one batch. positives: the teacher's assignment, read at the same places in the student.

    Of groups with more than max_regions regions, those with the highest target score are taken.
    """
    pairs_P2 = torch.stack([positives.image_P, positives.prompt_P], dim=1)
    groups: list[GroupAlignment] = []
    for image, prompt in torch.unique(pairs_P2, dim=0).tolist():
        rows = ((pairs_P2[:, 0] == image) & (pairs_P2[:, 1] == prompt)).nonzero()[:, 0]
        best_first = rows[positives.score_P[rows].argsort(descending=True, stable=True)]
        regions = torch.unique(positives.region_P[best_first[:max_regions]])
        matrices, confidences = [], []
        for output in (teacher, student):
            texts = output.text_embeddings
            text_D = texts[image, prompt] if texts.ndim == 3 else texts[prompt]
            matrices.append(_cosines(text_D, output.region_embeddings_BND[image, regions]))
            confidences.append(output.class_logits_BNK[image, regions, prompt].double().sigmoid().cpu())
        groups.append(GroupAlignment(image, prompt, matrices[0], matrices[1], confidences[0], confidences[1]))
    return groups


def summarize_alignment(groups: Sequence[GroupAlignment]) -> AlignmentSummary:
    """Raises ValueError if there is no group to summarize."""
    if not groups:
        raise ValueError(
            "Alignment needs at least one group of positives; got none. Use images with annotated objects."
        )
    text_maes, region_maes, embedding, confidence = [], [], [], []
    pairs_teacher, pairs_student = [], []
    for group in groups:
        difference = (group.matrix_student - group.matrix_teacher).abs()
        upper = torch.triu_indices(group.num_regions, group.num_regions, offset=1) + 1
        text_maes.append(difference[0, 1:].mean().item())
        if group.num_regions > 1:
            region_maes.append(difference[upper[0], upper[1]].mean().item())
            pairs_teacher.append(group.matrix_teacher[upper[0], upper[1]].numpy())
            pairs_student.append(group.matrix_student[upper[0], upper[1]].numpy())
        off_diagonal = ~torch.eye(len(difference), dtype=torch.bool)
        embedding.append(difference[off_diagonal].mean().item())
        confidence.append((group.confidence_student - group.confidence_teacher).abs().mean().item())
    return AlignmentSummary(
        num_groups=len(groups),
        region_text_mae=float(np.mean(text_maes)),
        region_region_mae=float(np.mean(region_maes)) if region_maes else float("nan"),
        region_region_r=pearson(np.concatenate(pairs_teacher), np.concatenate(pairs_student))
        if region_maes
        else float("nan"),
        confidence_teacher=torch.cat([group.confidence_teacher for group in groups]).mean().item(),
        confidence_student=torch.cat([group.confidence_student for group in groups]).mean().item(),
        embedding_distortion_G=tuple(embedding),
        confidence_distortion_G=tuple(confidence),
        distortion_rho=spearman(embedding, confidence),
    )
