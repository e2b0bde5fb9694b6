"""Two slower kernels that the eager one is checked against, selectable for experiments.

composite: plain autograd operations, with straight-through estimators for rounding, step and zero point.
native: PyTorch's learnable fake-quantize operators; rounded mask only, float32 and bfloat16 only. They multiply by
1/scale, so that a value on a tie may get the neighbouring code, and they turn NaN into a finite number; the kernel
here puts the NaN back.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.kernels.broadcast import held_on_grid
from crqat_pipeline.quantization.kernels.empty import fake_quantize_nothing
from crqat_pipeline.quantization.kernels.settings import (
    KernelSettings,
    gradient_factor,
    integer_zero_point,
    positive_scale,
)


class _UsedScale(torch.autograd.Function):
    """The scale of a stored step; the step's gradient is rescaled as in every other kernel."""

    @staticmethod
    def forward(ctx: Any, step_G: Tensor, factor: float, is_log: bool) -> Tensor:
        scale_G = positive_scale(step_G, is_log)
        ctx.save_for_backward(scale_G)
        ctx.factor, ctx.is_log = factor, is_log
        return scale_G

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (scale_G,) = ctx.saved_tensors
        return gradients[0] * (scale_G * ctx.factor if ctx.is_log else ctx.factor), None, None


class _UsedZeroPoint(torch.autograd.Function):
    """The integer zero point of a stored one; its gradient never pushes it further off the grid."""

    @staticmethod
    def forward(ctx: Any, zero_point_G: Tensor, factor: float, settings: KernelSettings) -> Tensor:
        ctx.save_for_backward(zero_point_G)
        ctx.factor, ctx.settings = factor, settings
        return integer_zero_point(zero_point_G, settings)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (zero_point_G,) = ctx.saved_tensors
        return held_on_grid(zero_point_G, gradients[0] * ctx.factor, ctx.settings), None, None


def _used(
    step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings, factor: float
) -> tuple[Tensor, Tensor]:
    """Scale and integer zero point (G,), with the gradient factor of the stored step and zero point."""
    scale_G: Tensor = _UsedScale.apply(step_G, factor, settings.is_log)  # type: ignore[no-untyped-call]
    if zero_point_G is None:
        return scale_G, torch.zeros_like(scale_G)
    return scale_G, _UsedZeroPoint.apply(zero_point_G, factor, settings)  # type: ignore[no-untyped-call]


def fake_quantize_composite(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x by ordinary differentiable operations."""
    if x.numel() == 0:
        return fake_quantize_nothing(x, step_G, zero_point_G)
    factor = gradient_factor(x, step_G.numel(), settings)
    scale_G, zero_G = _used(step_G, zero_point_G, settings, factor)
    scale, zero = along_axis(scale_G, x, settings.axis), along_axis(zero_G, x, settings.axis)
    low, high = settings.quant_min - zero, settings.quant_max - zero
    is_rounding = settings.step_gradient == "lsq"
    value = x.to(torch.promote_types(x.dtype, scale.dtype)) / (scale if is_rounding else scale.detach())
    is_low, is_high = value <= low - settings.margin, value >= high + settings.margin
    nearest = torch.clamp(value.detach().round(), low.detach(), high.detach())
    inside = nearest + (value - value.detach())
    code = torch.where(is_low, low, torch.where(is_high, high, inside))
    moves = scale if is_rounding else torch.where(is_low | is_high, scale, scale.detach())
    return (code * moves).to(x.dtype)


def fake_quantize_native(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x with PyTorch's learnable operators. Raises ValueError for a setting they do not have."""
    if settings.mask != "rounded" or settings.step_gradient != "lsq":
        raise ValueError(
            "The native kernel has the rounded gradient mask and LSQ's step gradient only; got "
            f"mask {settings.mask!r} and step gradient {settings.step_gradient!r}. Use kernel='eager'."
        )
    if x.numel() == 0:
        return fake_quantize_nothing(x, step_G, zero_point_G)
    scale_G, zero_G = _used(step_G, zero_point_G, settings, 1.0)
    factor = gradient_factor(x, step_G.numel(), settings)
    if settings.axis is None:
        y = torch._fake_quantize_learnable_per_tensor_affine(
            x, scale_G, zero_G, settings.quant_min, settings.quant_max, factor
        )
    else:
        repeat = x.shape[settings.axis] // step_G.numel()
        if repeat > 1:
            scale_G, zero_G = scale_G.repeat_interleave(repeat), zero_G.repeat_interleave(repeat)
        rows, axis = (x[:, None], 0) if x.ndim == 1 else (x, settings.axis % x.ndim)  # its backward needs two axes
        y = torch._fake_quantize_learnable_per_channel_affine(
            rows, scale_G, zero_G, axis, settings.quant_min, settings.quant_max, factor
        ).reshape(x.shape)
    return torch.where(x.isnan(), x, y)
