"""Attention whose operands can be quantized per head, in place of that of timm and transformers.

Weights keep their names, so that released state dicts load.

Shape letters: B images (or windows of images), M heads, Q queries, K keys, C channels of a head, L levels, P points
of a level, S cells of all levels, G = M C.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.common.attention import SoftmaxProduct
from crqat_pipeline.structures.quantization_contract import ProductOperands


class SampledProduct(nn.Module):
    """The sum of sampled values by attention weights, of deformable attention; called as transformers' own module."""

    product_operands = ProductOperands({"value_operand": 1, "weight_operand": 1})

    def __init__(self) -> None:
        super().__init__()
        self.value_operand: nn.Module = nn.Identity()
        self.weight_operand: nn.Module = nn.Identity()

    def forward(
        self,
        value_BSMC: Tensor,
        spatial_shapes: Tensor | None,
        spatial_shapes_list: list[tuple[int, int]],
        level_start_index: Tensor | None,
        locations_BQMLP2: Tensor,
        weights_BQMLP: Tensor,
        im2col_step: int,
    ) -> Tensor:
        """(B, Q, G). locations: x, y in units of the image; a point outside of it is 0."""
        num_images, _, num_heads, width = value_BSMC.shape
        grids = 2 * locations_BQMLP2 - 1
        sampled = []
        levels = torch.split(value_BSMC, [height * width for height, width in spatial_shapes_list], dim=1)
        for level, (map_BsMC, (height, width_cells)) in enumerate(zip(levels, spatial_shapes_list, strict=True)):
            map_XCHW = map_BsMC.permute(0, 2, 3, 1).reshape(num_images * num_heads, width, height, width_cells)
            grid_XQP2 = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)
            sampled.append(functional.grid_sample(map_XCHW, grid_XQP2, padding_mode="zeros", align_corners=False))
        values_BMCQP = torch.unflatten(torch.cat(sampled, dim=-1), 0, (num_images, num_heads))
        values_BMQPC = self.value_operand(values_BMCQP.permute(0, 1, 3, 4, 2))
        weights_BMQ1P = self.weight_operand(weights_BQMLP.flatten(3).transpose(1, 2)).unsqueeze(3)
        mixed_BMQC = torch.matmul(weights_BMQ1P, values_BMQPC).squeeze(3)
        return mixed_BMQC.transpose(1, 2).flatten(2)


class MultiHeadAttention(nn.Module):
    """Takes over the projections of transformers' OmDetTurboMultiheadAttention, and its call."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.num_heads: int = original.num_attention_heads
        self.query, self.key, self.value = original.query, original.key, original.value
        self.out_proj = original.out_proj
        self.product = SoftmaxProduct()

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = False,
    ) -> tuple[Tensor]:
        """The mixed values (B, Q, G), in a tuple as the caller wants them."""
        mixed_BMQC = self.product(
            self._split(self.query(queries)),
            self._split(self.key(keys)),
            self._split(self.value(values)),
            attention_mask,
        )
        return (self.out_proj(mixed_BMQC.transpose(1, 2).flatten(2)),)

    def _split(self, rows_BQG: Tensor) -> Tensor:
        return torch.unflatten(rows_BQG, 2, (self.num_heads, -1)).transpose(1, 2)


class WindowAttention(nn.Module):
    """Takes over the weights of timm's Swin window attention, and its call."""

    relative_position_index: Tensor

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.num_heads: int = original.num_heads
        self.qkv, self.proj = original.qkv, original.proj
        self.relative_position_bias_table = original.relative_position_bias_table
        self.register_buffer("relative_position_index", original.relative_position_index, persistent=False)
        self.product = SoftmaxProduct()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x: (windows of all images, Q, G). mask: (windows of one image, Q, Q), added to the logits."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        bias_1MQQ = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1).unsqueeze(0)
        bias = bias_1MQQ
        if mask is not None:
            bias = (bias_1MQQ + mask.unsqueeze(1)).repeat(x.shape[0] // mask.shape[0], 1, 1, 1)
        mixed_BMQC = self.product(query, key, value, bias)
        projected: Tensor = self.proj(mixed_BMQC.transpose(1, 2).flatten(2))
        return projected


def with_quantizable_attention(module: nn.Module) -> None:
    """Replace, in place, every attention of timm's Swin and of transformers' OmDet-Turbo by the ones above."""
    from timm.models.swin_transformer import WindowAttention as TimmWindowAttention
    from transformers.models.omdet_turbo import modeling_omdet_turbo as original

    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, TimmWindowAttention):
                setattr(parent, name, WindowAttention(child))
            elif isinstance(child, original.OmDetTurboMultiheadAttention):
                setattr(parent, name, MultiHeadAttention(child))
            elif isinstance(child, original.MultiScaleDeformableAttention):
                setattr(parent, name, SampledProduct())
