"""A copy of a detector whose quantizers are marks that tracing keeps: one operator each, with the quantizer's name."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.parts import quantizers


@torch.library.custom_op("crqat::on_grid", mutates_args=(), schema="(Tensor x, str quantizer) -> Tensor")
def on_grid(x: Tensor, quantizer: str) -> Tensor:
    """A copy of x: what stands in a traced graph for the quantizer of this name."""
    return x.clone()


@on_grid.register_fake
def _(x: Tensor, quantizer: str) -> Tensor:
    return torch.empty_like(x)


MARK = torch.ops.crqat.on_grid.default
"""The operator in the graph."""


class Mark(nn.Module):
    """Stands where a quantizer was."""

    def __init__(self, quantizer: str) -> None:
        super().__init__()
        self.quantizer = quantizer

    def forward(self, x: Tensor) -> Tensor:
        marked: Tensor = torch.ops.crqat.on_grid(x, self.quantizer)
        return marked


def marked_copy(detector: nn.Module, *, is_quantized: bool) -> nn.Module:
    """A copy of the detector in eval mode; quantizers that are off, or all of them, let everything through."""
    twin = copy.deepcopy(detector).eval()
    for name, quantizer in list(quantizers(twin)):
        twin.set_submodule(name, Mark(name) if is_quantized and quantizer.is_on else nn.Identity())
    return twin
