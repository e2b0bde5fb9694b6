"""Eager passes with steps broadcast along an axis: weights, half precision, and everything on an accelerator.

The gradients are those of blocked.py; nothing waits for the device. Half-precision inputs are computed in float32.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.kernels.settings import (
    KernelSettings,
    gradient_factor,
    integer_zero_point,
    positive_scale,
)
from crqat_pipeline.runtime.ranks import num_ranks

_REDUCED = (torch.bfloat16, torch.float16)


class BroadcastFakeQuantize(torch.autograd.Function):
    """y = dequantize(quantize(x)), straight-through for x, learned step and zero point."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
        scale_G = positive_scale(step_G, settings.is_log)
        wide = _widened(x)
        low: Any = settings.quant_min
        high: Any = settings.quant_max
        if zero_point_G is not None:
            zero = along_axis(integer_zero_point(zero_point_G, settings), x, settings.axis)
            low, high = low - zero, high - zero
        scale = along_axis(scale_G, x, settings.axis).to(wide.dtype)
        y = torch.div(wide, scale).round_().clamp_(low, high).mul_(scale).to(x.dtype)
        ctx.save_for_backward(x, y, scale_G, zero_point_G)
        ctx.settings = settings
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, y, scale_G, zero_point_G = ctx.saved_tensors
        settings: KernelSettings = ctx.settings
        _, wants_step, wants_zero, _ = ctx.needs_input_grad
        wide_x, wide_gradient = _widened(x), _widened(gradient)
        code = wide_x / along_axis(scale_G, x, settings.axis)
        if zero_point_G is not None:
            code += along_axis(integer_zero_point(zero_point_G, settings), x, settings.axis)
        low, high = settings.quant_min - settings.margin, settings.quant_max + settings.margin
        inside = torch.ops.aten.hardtanh_backward(wide_gradient, code, low, high)
        factor = gradient_factor(x, scale_G.numel(), settings)
        dstep_G = dzero_G = None
        if wants_step:
            other = wide_x if settings.step_gradient == "lsq" else _widened(y)
            products = (wide_gradient * _widened(y)).addcmul_(inside, other, value=-1.0)
            sum_G = _summed(products, scale_G.numel(), settings.axis)
            dstep_G = (sum_G * factor if settings.is_log else sum_G * (factor / scale_G)).to(scale_G.dtype)
        if wants_zero:
            outside_G = _summed(wide_gradient - inside, scale_G.numel(), settings.axis)
            dzero_G = held_on_grid(zero_point_G, -scale_G * outside_G * factor, settings).to(zero_point_G.dtype)
        return inside.to(x.dtype), dstep_G, dzero_G, None


def held_on_grid(zero_point_G: Tensor, gradient_G: Tensor, settings: KernelSettings) -> Tensor:
    """Drop the part of the gradient that would push a zero point further off the grid.

    Of a part of a batch nothing is dropped: the sum over all workers decides (hold_zero_points).
    """
    return gradient_G if num_ranks() > 1 else on_grid_only(zero_point_G, gradient_G, settings)


def on_grid_only(zero_point_G: Tensor, gradient_G: Tensor, settings: KernelSettings) -> Tensor:
    """A gradient without what would push a zero point further off the grid."""
    leaves_low = (zero_point_G <= settings.quant_min) & (gradient_G > 0)
    leaves_high = (zero_point_G >= settings.quant_max) & (gradient_G < 0)
    return gradient_G.masked_fill(leaves_low | leaves_high, 0.0)


def _widened(x: Tensor) -> Tensor:
    return x.float() if x.dtype in _REDUCED else x


def _summed(values: Tensor, num_steps: int, axis: int | None) -> Tensor:
    """(G,) sums of the values under each step."""
    if axis is None:
        return values.sum().reshape(1)
    dims = [dim for dim in range(values.ndim) if dim != axis % values.ndim]
    sum_C = values.sum(dims) if dims else values
    return sum_C if sum_C.numel() == num_steps else sum_C.reshape(num_steps, -1).sum(1)
