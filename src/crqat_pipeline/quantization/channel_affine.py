"""What a BatchNorm in evaluation mode does to each channel: one multiplication, one addition.

Shape letters: C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

PROBE = 2.0**90
VANISHING = 1e-30
"""An eps that 1 + eps rounds off: some releases of PyTorch refuse a BatchNorm with eps 0."""


class ChannelAffine(NamedTuple):
    """y = x * gain_C + shift_C, float32."""

    gain_C: Tensor
    shift_C: Tensor


@torch.no_grad()
def affine_of(batch_norm: nn.BatchNorm2d) -> ChannelAffine:
    """Gain and shift as the framework's own kernel rounds them, read off by two probes.

    At x = 0 the answer is the shift; at x = 2^90 the shift is below the last bit, and the answer is gain * 2^90. A
    BatchNorm set to them by `store_affine` is therefore equal to the original bit for bit, on any kernel.
    """
    mean_C = batch_norm.running_mean
    if mean_C is None:
        raise ValueError("A BatchNorm without running statistics cannot be folded. Train it with track_running_stats.")
    probe_2C11 = torch.zeros(2, mean_C.numel(), 1, 1, dtype=mean_C.dtype, device=mean_C.device)
    probe_2C11[1] = PROBE
    shift_C, raised_C = nn.functional.batch_norm(
        probe_2C11, mean_C, batch_norm.running_var, batch_norm.weight, batch_norm.bias, eps=batch_norm.eps
    ).flatten(1)
    gain_C = torch.where(batch_norm.weight == 0, torch.zeros_like(raised_C), raised_C / PROBE)
    return ChannelAffine(gain_C, shift_C.clone())


@torch.no_grad()
def store_affine(batch_norm: nn.BatchNorm2d, affine: ChannelAffine) -> None:
    """Make the BatchNorm compute exactly x * gain + shift: mean 0, variance 1, an eps that vanishes."""
    assert batch_norm.running_mean is not None
    assert batch_norm.running_var is not None
    batch_norm.eps = VANISHING
    batch_norm.running_mean.zero_()
    batch_norm.running_var.fill_(1.0)
    batch_norm.weight.copy_(affine.gain_C)
    batch_norm.bias.copy_(affine.shift_C)
