"""The head: per level a box branch, a class-embedding branch and a contrast with text.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, N regions of all levels (P3, P4, P5,
row-major inside a level), R bins per box side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.one_stage.blocks import ConvUnit
from crqat_pipeline.detectors.one_stage.contrast import Contrast
from crqat_pipeline.detectors.one_stage.spec import LEVEL_STRIDES_PX, OneStageSpec


@dataclass(frozen=True)
class HeadOutput:
    """class_logits_BNK, region_embeddings_BND (after version 2's BatchNorm), box_bins_BN4R (logits of l, t, r, b).

    raw_region_embeddings_BND: before any norm of the contrast, on request.
    """

    class_logits_BNK: Tensor
    region_embeddings_BND: Tensor
    box_bins_BN4R: Tensor
    raw_region_embeddings_BND: Tensor | None = None


class Head(nn.Module):
    """Three maps and text in, HeadOutput out. Nothing is shared between levels."""

    def __init__(self, spec: OneStageSpec) -> None:
        super().__init__()
        self.num_bins = spec.num_bins
        widths = spec.stage_channels[1:]
        self.box_branches = nn.ModuleList(
            _branch(channels, spec.box_width, 4 * spec.num_bins, spec.head_convs) for channels in widths
        )
        self.embedding_branches = nn.ModuleList(
            _branch(channels, spec.embedding_width, spec.embedding_dim, spec.head_convs) for channels in widths
        )
        self.contrasts = nn.ModuleList(
            Contrast(spec.embedding_dim, _initial_bias(spec, stride), spec.has_batch_normed_contrast)
            for stride in LEVEL_STRIDES_PX
        )
        for box_branch, embedding_branch in zip(self.box_branches, self.embedding_branches, strict=True):
            nn.init.ones_(box_branch[-1].bias)  # type: ignore[index, arg-type]
            nn.init.zeros_(embedding_branch[-1].bias)  # type: ignore[index, arg-type]

    def forward(self, maps: Sequence[Tensor], text_XKD: Tensor, *, return_raw: bool = False) -> HeadOutput:
        logits, embeddings, raw, bins = [], [], [], []
        for map_BCHW, box_branch, embedding_branch, contrast in zip(
            maps, self.box_branches, self.embedding_branches, self.contrasts, strict=True
        ):
            raw_BDHW = embedding_branch(map_BCHW)
            logits_BPK, scored_BDHW = contrast(raw_BDHW, text_XKD)
            logits.append(logits_BPK)
            embeddings.append(scored_BDHW.flatten(2).transpose(1, 2))
            raw.append(raw_BDHW.flatten(2).transpose(1, 2))
            bins.append(box_branch(map_BCHW).flatten(2).transpose(1, 2))
        return HeadOutput(
            torch.cat(logits, dim=1),
            torch.cat(embeddings, dim=1),
            torch.unflatten(torch.cat(bins, dim=1), 2, (4, self.num_bins)),
            torch.cat(raw, dim=1) if return_raw else None,
        )


def _branch(in_channels: int, width: int, out_channels: int, num_convs: int) -> nn.Sequential:
    units = [ConvUnit(in_channels if index == 0 else width, width, 3) for index in range(num_convs)]
    return nn.Sequential(*units, nn.Conv2d(width if units else in_channels, out_channels, 1))


def _initial_bias(spec: OneStageSpec, stride_px: int) -> float:
    if spec.contrast_bias is not None:
        return spec.contrast_bias
    return math.log(5 / 80 / (640 / stride_px) ** 2)
