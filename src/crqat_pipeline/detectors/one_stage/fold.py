"""Folding BatchNorm into the convolutions before it.

Shape letters: B images, C channels, H W pixels.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.one_stage.blocks import ConvUnit

Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def fold_batch_norm(detector: Network) -> Network:
    """A copy in eval mode whose convolution units have a bias instead of BatchNorm; text stays an input.

    The BatchNorm of version 2's contrast stays: the embeddings before it are an output on request.
    Raises ValueError for a unit whose layers were swapped (a detector prepared for quantization).
    """
    folded = copy.deepcopy(detector).eval()
    for name, unit in folded.named_modules():
        if isinstance(unit, ConvUnit):
            if type(unit.conv) is not nn.Conv2d or type(unit.bn) is not nn.BatchNorm2d:
                raise ValueError(
                    f"{name} holds {type(unit.conv).__name__} and {type(unit.bn).__name__}; only Conv2d with "
                    "BatchNorm2d folds. Fold the full-precision detector, or use the exporter of quantized ones."
                )
            unit.conv = _folded_unit(unit.conv, unit.bn)
            unit.bn = nn.Identity()  # type: ignore[assignment]
    return folded


def _gain_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """y = gain x + shift in double precision; the gain may be negative."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return gain, norm.bias.double() - norm.running_mean.double() * gain


def _folded_unit(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The convolution with the gain in its weights and the shift as its bias."""
    gain, shift = _gain_and_shift(norm)
    made = copy.deepcopy(conv)
    made.weight.copy_(conv.weight.double() * gain[:, None, None, None])
    made.bias = nn.Parameter(shift.to(conv.weight.dtype))
    return made
