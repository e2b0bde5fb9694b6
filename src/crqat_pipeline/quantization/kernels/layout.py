"""Memory layouts that the kernels walk through without a copy: contiguous and channels-last.

Shape letters: G steps of a tensor, O outer, N inner.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor


def is_channels_last(x: Tensor) -> bool:
    """True for a dense (B, C, H, W) whose channels are neighbours in memory (also if it is contiguous as well)."""
    return x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)


def dense(x: Tensor) -> Tensor:
    """x itself if its memory has no holes in one of the two layouts, else a copy in the nearer one.

    A slice of the channels of a channels-last map stays channels-last: the layout of a network must not flip here.
    """
    if x.is_contiguous() or is_channels_last(x):
        return x
    if x.ndim == 4 and x.stride(1) == 1:
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()


def laid_out_like(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the layout of a dense x."""
    if x.is_contiguous():
        return gradient.contiguous()
    return gradient.contiguous(memory_format=torch.channels_last)


def by_step(x: Tensor, num_steps: int, axis: int | None) -> Tensor:
    """(O, G, N): a dense x in which one step serves each row; a copy only for channels-last with an inner axis."""
    if axis is not None:
        axis %= x.ndim
    if axis in (None, 0) and not x.is_contiguous():
        x = x.permute(0, 2, 3, 1)
    return x.reshape(prod(x.shape[: axis or 0]), num_steps, -1)


def back_to_shape(y_OGN: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """The inverse of by_step: y in the shape and layout of a dense x."""
    if (axis is None or axis % x.ndim == 0) and not x.is_contiguous():
        batch, channels, height, width = x.shape
        return y_OGN.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
    return y_OGN.reshape(x.shape)
