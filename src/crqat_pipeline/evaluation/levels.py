"""Which levels of a detector's pyramid a data set uses: where label assignment puts its targets, what a level finds.

A level that is asked for nothing stays as it was initialized, and no figure that needs it means anything.
Shape letters: N regions, P positives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions


@dataclass(frozen=True)
class LevelFigures:
    """target_share: of the sum of target scores, 0 to 1. ap: of detections from this level alone, COCO's protocol."""

    target_share: float
    ap: float


def level_masks(strides_px: Sequence[int], height_px: int, width_px: int) -> dict[str, Tensor]:
    """P3, P4, ... by stride -> (N,) whether a region is of the level; regions come level by level, row by row.

    strides_px: powers of two, as a detector's `level_strides` names them.
    """
    counts = [(height_px // stride) * (width_px // stride) for stride in strides_px]
    level_N = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64))
    return {f"P{stride.bit_length() - 1}": level_N == level for level, stride in enumerate(strides_px)}


def target_sums(masks: Mapping[str, Tensor], positives: PositiveRegions) -> dict[str, float]:
    """Level -> sum of the target scores of its positives. masks: level -> (N,) whether a region is its own."""
    region_P, score_P = positives.region_P.cpu(), positives.score_P.cpu()
    return {level: float(score_P[mask_N[region_P]].sum()) for level, mask_N in masks.items()}


def target_shares(sums: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Level -> its part of all target scores of several batches; 0 everywhere where there is no target at all."""
    totals: dict[str, float] = {}
    for one in sums:
        for level, value in one.items():
            totals[level] = totals.get(level, 0.0) + value
    whole = sum(totals.values())
    return {level: value / whole if whole > 0 else 0.0 for level, value in totals.items()}


def regions_of(output: DetectorOutput, mask_N: Tensor) -> DetectorOutput:
    """The output with these regions only, as far as `detect` reads it: logits, boxes, embeddings."""
    mask_N = mask_N.to(output.class_logits_BNK.device)
    return replace(
        output,
        class_logits_BNK=output.class_logits_BNK[:, mask_N],
        boxes_BN4=output.boxes_BN4[:, mask_N],
        region_embeddings_BND=output.region_embeddings_BND[:, mask_N],
    )
