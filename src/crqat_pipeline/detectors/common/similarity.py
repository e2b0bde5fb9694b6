"""The product of regions and texts, where every family compares the two.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, P pixels or regions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crqat_pipeline.structures.quantization_contract import ProductOperands


class RegionTextSimilarity(nn.Module):
    """The product of region and text embeddings. It stays in full precision by default.

    Its operands pass through identity children, so that an experiment can quantize them.
    """

    product_operands = ProductOperands({"region_operand": None, "text_operand": None}, kind="similarity")

    def __init__(self) -> None:
        super().__init__()
        self.region_operand: nn.Module = nn.Identity()
        self.text_operand: nn.Module = nn.Identity()

    def forward(self, regions_BDP: Tensor, text_XKD: Tensor) -> Tensor:
        """(B, P, K) inner products."""
        product_BKP = torch.matmul(self.text_operand(text_XKD), self.region_operand(regions_BDP))
        return product_BKP.transpose(1, 2)
