"""The one kernel of tensors without elements: images without regions, batches without images.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

from torch import Tensor


def fake_quantize_nothing(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None) -> Tensor:
    """An empty x in its shape and dtype; gradients of step and zero point are zero, whatever they hold."""
    y = x * step_G.sum().to(x.dtype)
    return y if zero_point_G is None else y + zero_point_G.sum().to(x.dtype)
