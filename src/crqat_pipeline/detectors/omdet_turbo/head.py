"""The decoder of OmDet-Turbo: the best cells become queries, which layers refine and compare with texts.

Written against the modules of transformers' OmDetTurboDecoder, whose names it keeps. It takes embeddings of the classes
in place of tokens, and answers after every layer: training wants that, an exported graph drops what nobody reads.

Shape letters: B images, C width, h w cells of a level, S cells of all levels, N queries, X images or 1 (shared text),
K prompts, D text embedding, T task tokens, L answers (that of the cells, then one per layer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.common.similarity import RegionTextSimilarity
from crqat_pipeline.detectors.omdet_turbo.attention import with_quantizable_attention

LOGIT_SCALE = 1 / 0.07
ANCHOR_SIDE = 0.05
"""Side of the finest level's anchors in units of the image; each level doubles it."""
MARGIN = 0.01
"""Anchors nearer to the border of the image than this are no queries' start."""
EPS = 1e-5
NUM_TASK_TOKENS = 6
"""Tokens of the task sentence of loading.py."""


@dataclass(frozen=True)
class QueryAnswers:
    """logits_LBNK; boxes_LBN4: cx, cy, w, h in units of the image. queries_BNC, texts_XKC: what the last answer
    compares. cell_BN: the cell that each query came from."""

    logits_LBNK: Tensor
    boxes_LBN4: Tensor
    queries_BNC: Tensor
    texts_XKC: Tensor
    cell_BN: Tensor


class Head(nn.Module):
    """Takes over the children of `decoder`, an OmDetTurboDecoder."""

    channel_projection_layers: nn.ModuleList
    layers: nn.ModuleList
    encoder_vision_features: nn.Module
    encoder_class_head: nn.Module
    encoder_bbox_head: Any
    query_position_head: Any
    decoder_class_head: nn.ModuleList
    decoder_bbox_head: Any
    task_encoder: nn.Module

    def __init__(self, decoder: Any, num_queries: int, embedding_dim: int) -> None:
        super().__init__()
        for name, child in list(decoder.named_children()):
            self.add_module(name, child)
        self.num_queries = num_queries
        self.task_tokens = nn.Parameter(0.1 * torch.randn(NUM_TASK_TOKENS, embedding_dim))
        self.similarities = nn.ModuleList(RegionTextSimilarity() for _ in range(len(decoder.layers) + 1))
        with_quantizable_attention(self)

    def forward(self, maps: Sequence[Tensor], text_XKD: Tensor) -> QueryAnswers:
        """maps: (B, C, h, w) at strides 8, 16, 32."""
        levels = [projection(one) for projection, one in zip(self.channel_projection_layers, maps, strict=True)]
        shapes = [(level.shape[2], level.shape[3]) for level in levels]
        cells_BSC = torch.cat([level.flatten(2).mT for level in levels], dim=1)
        anchors_S4, is_inside_S1 = _anchors(shapes, cells_BSC)
        features_BSC = self.encoder_vision_features(cells_BSC * is_inside_S1)
        logits_BSK, _ = self._compare(0, features_BSC, self.encoder_class_head(text_XKD))
        num_queries = min(self.num_queries, cells_BSC.shape[1])
        best_first_BS = logits_BSK.amax(dim=2).sort(dim=1, descending=True, stable=True).indices
        cell_BN = best_first_BS[:, :num_queries]  # of equal cells the first, as in graphs
        reference_BN4 = (self.encoder_bbox_head(rows(features_BSC, cell_BN)) + anchors_S4[cell_BN]).sigmoid()
        logits, boxes = [rows(logits_BSK, cell_BN)], [reference_BN4]

        queries_BNC, reference_BN4 = rows(features_BSC, cell_BN).detach(), reference_BN4.detach()
        previous_BN4 = reference_BN4
        task_TBC = self._task().unsqueeze(1).expand(-1, cells_BSC.shape[0], -1)
        texts_XKC = text_XKD
        for index, layer in enumerate(self.layers):
            queries_BNC, task_TBC, *_ = layer(
                queries_BNC,
                task_TBC,
                reference_BN4,
                cells_BSC,
                None,
                shapes,
                query_position=self.query_position_head(reference_BN4),
            )
            step_BN4 = self.decoder_bbox_head[index](queries_BNC)
            boxes.append((step_BN4 + _logit(previous_BN4)).sigmoid())
            previous_BN4 = (step_BN4 + _logit(reference_BN4)).sigmoid()
            reference_BN4 = previous_BN4.detach()
            logits_BNK, texts_XKC = self._compare(index + 1, queries_BNC, self.decoder_class_head[index](text_XKD))
            logits.append(logits_BNK)
        return QueryAnswers(torch.stack(logits), torch.stack(boxes), queries_BNC, texts_XKC, cell_BN)

    def _compare(self, index: int, regions_BNC: Tensor, texts_XKC: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled cosines (B, N, K), and the texts."""
        unit_BCN = functional.normalize(regions_BNC, dim=2).mT
        cosines_BNK = self.similarities[index](unit_BCN, functional.normalize(texts_XKC, dim=2))
        return LOGIT_SCALE * cosines_BNK, texts_XKC

    def _task(self) -> Tensor:
        """(T, C)."""
        tokens_TD = self.task_encoder(self.task_tokens)
        project = getattr(self, "task_project", None)  # absent where D = C
        projected: Tensor = tokens_TD if project is None else project(tokens_TD)
        return projected


def _anchors(shapes: Sequence[tuple[int, int]], like: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of cx, cy, w, h of each cell's anchor (S, 4), and 1 where it is inside the margin (S, 1), else 0.

    A cell outside starts from the box (1, 1, 1, 1), as in the released model.
    """
    levels = []
    for level, (height, width) in enumerate(shapes):
        y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
        x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        side = torch.full_like(grid_x, ANCHOR_SIDE * 2.0**level)
        levels.append(torch.stack((grid_x, grid_y, side, side), dim=-1).flatten(0, 1))
    anchors_S4 = torch.cat(levels)
    is_inside_S1 = ((anchors_S4 > MARGIN) & (anchors_S4 < 1 - MARGIN)).all(dim=1, keepdim=True)
    logits_S4 = torch.where(is_inside_S1, torch.logit(anchors_S4), torch.full_like(anchors_S4, math.inf))
    return logits_S4, is_inside_S1.to(like.dtype)


def rows(values_BSC: Tensor, row_BN: Tensor) -> Tensor:
    """(B, N, C): these rows of each image."""
    return values_BSC.gather(1, row_BN.unsqueeze(2).expand(-1, -1, values_BSC.shape[2]))


def _logit(share: Tensor) -> Tensor:
    """log(p / (1 - p)), both kept from 0."""
    share = share.clamp(0, 1)
    return (share.clamp(min=EPS) / (1 - share).clamp(min=EPS)).log()
