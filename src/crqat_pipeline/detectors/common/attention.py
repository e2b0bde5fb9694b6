"""Softmax attention whose four operands can be quantized per head.

Shape letters: B images or 1, M heads, Q queries, K keys, C channels of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from crqat_pipeline.structures.quantization_contract import ProductOperands


class SoftmaxProduct(nn.Module):
    """softmax(query . key / sqrt(C) + bias) . value."""

    product_operands = ProductOperands({"query_operand": 1, "key_operand": 1, "weight_operand": 1, "value_operand": 1})

    def __init__(self) -> None:
        super().__init__()
        self.query_operand: nn.Module = nn.Identity()
        self.key_operand: nn.Module = nn.Identity()
        self.weight_operand: nn.Module = nn.Identity()
        self.value_operand: nn.Module = nn.Identity()

    def forward(self, query_BMQC: Tensor, key_BMKC: Tensor, value_BMKC: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, M, Q, C); bias broadcasts to (B, M, Q, K)."""
        key_BMCK = self.key_operand(key_BMKC).transpose(2, 3)
        logits_BMQK = torch.matmul(self.query_operand(query_BMQC), key_BMCK) / math.sqrt(query_BMQC.shape[3])
        if bias is not None:
            logits_BMQK = logits_BMQK + bias
        weights_BMQK = self.weight_operand(logits_BMQK.softmax(dim=3))
        return torch.matmul(weights_BMQK, self.value_operand(value_BMKC))
