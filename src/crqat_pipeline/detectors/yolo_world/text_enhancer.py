"""Image-pooling attention of version 1: every prompt looks at 27 pooled patches of the image.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, E width of the attention, M heads,
C = E / M, T = 27 tokens (3 maps x 3 x 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.common.attention import SoftmaxProduct

POOLED_SIDE = 3


class TextEnhancer(nn.Module):
    """T' = T + attention(T, pooled maps). T' is not normalized again."""

    def __init__(self, map_channels: Sequence[int], embedding_dim: int, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.projections = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in map_channels)
        self.query = nn.Sequential(nn.LayerNorm(embedding_dim), nn.Linear(embedding_dim, width))
        self.key = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.value = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.proj = nn.Linear(width, embedding_dim)
        self.product = SoftmaxProduct()

    def forward(self, text_XKD: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """maps in the order P3, P4, P5; returns (B, K, D)."""
        tokens_BTE = torch.cat(
            [
                functional.adaptive_max_pool2d(projection(map_BCHW), POOLED_SIDE).flatten(2).transpose(1, 2)
                for projection, map_BCHW in zip(self.projections, maps, strict=True)
            ],
            dim=1,
        )
        mixed_BMKC = self.product(
            self._split(self.query(text_XKD)),
            self._split(self.key(tokens_BTE)),
            self._split(self.value(tokens_BTE)),
        )
        update_BKD: Tensor = self.proj(mixed_BMKC.transpose(1, 2).flatten(2))
        return text_XKD + update_BKD

    def _split(self, rows: Tensor) -> Tensor:
        return torch.unflatten(rows, 2, (self.num_heads, -1)).transpose(1, 2)
