"""Max-sigmoid attention: text decides how much of each head's channels passes at each pixel.

Shape letters: B images, X images or 1 (shared text), M heads, C channels of a head, K prompts, D embedding,
H W pixels, P = H * W.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.one_stage.blocks import ConvUnit, CspBlock
from crqat_pipeline.detectors.yolo_world.max_product import max_product
from crqat_pipeline.structures.quantization_contract import GatedInput, ProductOperands


class GateProduct(nn.Module):
    """Largest scaled product of each pixel with the guides of all prompts, per head.

    The operands pass through identity children so that a quantizer per head can take their place.
    """

    product_operands = ProductOperands({"map_operand": 1, "guide_operand": 1})

    def __init__(self) -> None:
        super().__init__()
        self.map_operand: nn.Module = nn.Identity()
        self.guide_operand: nn.Module = nn.Identity()

    def forward(self, map_BMCP: Tensor, guide_XMKC: Tensor) -> Tensor:
        """(B, M, P): max over k of map . guide / sqrt(C)."""
        product_BMP = max_product(self.map_operand(map_BMCP), self.guide_operand(guide_XMKC))
        return product_BMP / math.sqrt(map_BMCP.shape[2])


class MaxSigmoidGate(nn.Module):
    """A 3x3 projection of the map, multiplied per head by sigmoid(max_k <map, guide_k> / sqrt(C) + bias).

    The text is used as given, not normalized. The maximum runs over all prompts of the image: the output
    depends on the set of prompts, not on their order.
    """

    def __init__(self, channels: int, embedding_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.guide = nn.Linear(embedding_dim, channels)
        self.head_bias = nn.Parameter(torch.zeros(num_heads))
        self.project = ConvUnit(channels, channels, 3, is_activated=False)
        self.projected_operand: nn.Module = nn.Identity()
        self.product = GateProduct()

    def forward(self, map_BCHW: Tensor, text_XKD: Tensor) -> Tensor:
        heads = (self.num_heads, -1)
        guide_XMKC = torch.unflatten(self.guide(text_XKD), 2, heads).transpose(1, 2)
        map_BMCP = torch.unflatten(map_BCHW.flatten(2), 1, heads)
        gate_BM1P = (self.product(map_BMCP, guide_XMKC) + self.head_bias[:, None]).sigmoid().unsqueeze(2)
        projected_BCHW = self.projected_operand(self.project(map_BCHW))
        projected_BMCP = torch.unflatten(projected_BCHW.flatten(2), 1, heads)
        gated_BMCP: Tensor = projected_BMCP * gate_BM1P
        return gated_BMCP.flatten(1, 2).reshape(map_BCHW.shape)


class TextGuidedCsp(CspBlock):
    """CSP block without shortcuts whose last bottleneck enters a second time, gated by text (T-CSP).

    The exit is linear in the gate: W (y, a p) = W_y y + sum over heads h of a_h (W_h p_h). So the maps may be rounded
    before the gate scales them, each on a grid of its own, and the products with the weight stay in integers.
    """

    gated_input = GatedInput("exit.conv", ("plain_operand", "gate.projected_operand"))

    def __init__(
        self, in_channels: int, out_channels: int, num_bottlenecks: int, embedding_dim: int, num_heads: int
    ) -> None:
        super().__init__(in_channels, out_channels, num_bottlenecks, has_shortcut=False, num_extra_branches=1)
        self.plain_operand: nn.Module = nn.Identity()
        self.gate = MaxSigmoidGate(self.hidden, embedding_dim, num_heads)

    def forward(self, map_BCHW: Tensor, text_XKD: Tensor) -> Tensor:  # type: ignore[override]
        branches = self.branches(map_BCHW)
        gated_BCHW = self.gate(branches[-1], text_XKD)
        plain_BCHW = self.plain_operand(torch.cat(branches, dim=1))
        result: Tensor = self.exit(torch.cat([plain_BCHW, gated_BCHW], dim=1))
        return result
