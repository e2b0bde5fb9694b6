"""Memory layouts that the kernels walk through without a copy: contiguous and channels-last.

Shape letters: G steps of a tensor, O outer, N inner.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor


def dense(x: Tensor) -> Tensor:
    """x itself if its memory has no holes in one of the two layouts, else a contiguous copy."""
    if x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


def laid_out_like(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the layout of a dense x."""
    if x.is_contiguous():
        return gradient.contiguous()
    return gradient.contiguous(memory_format=torch.channels_last)


def by_step(x: Tensor, num_steps: int, axis: int | None) -> Tensor:
    """(O, G, N): a view of a dense x in which one step serves each row; a copy only for channels-last with an axis."""
    if axis is None:
        return (x if x.is_contiguous() else x.permute(0, 2, 3, 1)).reshape(1, 1, -1)
    return x.reshape(prod(x.shape[: axis % x.ndim]), num_steps, -1)
