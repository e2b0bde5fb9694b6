"""How a pixel's embedding is compared with text, version 1 (L2 norm) and version 2 (BatchNorm).

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, P pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.common.similarity import RegionTextSimilarity
from crqat_pipeline.detectors.one_stage.blocks import BATCH_NORM_EPS, BATCH_NORM_MOMENTUM


class Contrast(nn.Module):
    """logit = exp(logit_scale) * <norm(region), text / ||text||> + bias, with one scale and bias per level.

    With `is_batch_normed` (version 2) the region side goes through BatchNorm, otherwise (version 1) it is
    divided by its L2 norm. The text is always divided by its norm here.
    """

    def __init__(self, embedding_dim: int, initial_bias: float, is_batch_normed: bool) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(-1.0 if is_batch_normed else math.log(1 / 0.07)))
        self.bias = nn.Parameter(torch.tensor(initial_bias))
        self.norm = (
            nn.BatchNorm2d(embedding_dim, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM) if is_batch_normed else None
        )
        self.similarity = RegionTextSimilarity()

    def forward(self, embedding_BDHW: Tensor, text_XKD: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P, K) logits, P = H * W, row-major; and the embedding (B, D, H, W) whose relations the score reads.

        The latter is the map after BatchNorm (version 2), or the map as it came, whose length is no relation (1).
        """
        if self.norm is not None:
            scored_BDHW = normed_BDHW = self.norm(embedding_BDHW)
        else:
            scored_BDHW, normed_BDHW = embedding_BDHW, functional.normalize(embedding_BDHW, dim=1)
        unit_text_XKD = functional.normalize(text_XKD, dim=2) * self.logit_scale.exp()
        similarity_BPK: Tensor = self.similarity(normed_BDHW.flatten(2), unit_text_XKD)
        return similarity_BPK + self.bias, scored_BDHW
