"""Two slower kernels that the eager one is checked against, selectable for experiments.

composite: plain autograd operations (clamp, then round with a straight-through estimator).
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
from crqat_pipeline.quantization.kernels.settings import (
    KernelSettings,
    gradient_factor,
    integer_zero_point,
    positive_scale,
)


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parameter_G: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return parameter_G.view_as(parameter_G)

    @staticmethod
    def backward(ctx: Any, gradient_G: Tensor) -> tuple[Tensor, None]:
        return gradient_G * ctx.factor, None


def _through(value: Tensor, parameter: Tensor) -> Tensor:
    """`value` with the gradient of `parameter`, exact in the forward pass."""
    return value.detach() + (parameter - parameter.detach())


def _learned_scale(x: Tensor, step_G: Tensor, settings: KernelSettings) -> Tensor:
    factor = gradient_factor(x, step_G.numel(), settings)
    step_G = _ScaleGradient.apply(step_G, factor)  # type: ignore[no-untyped-call]
    scale_G = positive_scale(step_G, settings.is_log)
    return scale_G if settings.is_log else _through(scale_G, step_G)


def fake_quantize_composite(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x by ordinary differentiable operations."""
    scale = along_axis(_learned_scale(x, step_G, settings), x, settings.axis)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    if zero_point_G is not None:
        factor = gradient_factor(x, zero_point_G.numel(), settings)
        scaled_G = _ScaleGradient.apply(zero_point_G, factor)  # type: ignore[no-untyped-call]
        zero = along_axis(_through(integer_zero_point(zero_point_G, settings), scaled_G), x, settings.axis)
    low, high = settings.quant_min - zero, settings.quant_max - zero
    code = x / (scale if settings.step_gradient == "lsq" else scale.detach())
    if settings.mask == "strict":
        code = torch.where(code <= low, low, torch.where(code >= high, high, code))
        code = _through(code.round(), code)
    else:
        code = _through(code.round(), code)
        code = torch.where(code < low, low, torch.where(code > high, high, code))
    if settings.step_gradient == "clip":
        is_clipped = (x / scale <= low) | (x / scale >= high)
        scale = torch.where(is_clipped, scale, scale.detach())
    return code * scale


def fake_quantize_native(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x with PyTorch's learnable operators. Raises ValueError for a setting they do not have."""
    if settings.mask != "rounded" or settings.step_gradient != "lsq":
        raise ValueError(
            "The native kernel has the rounded gradient mask and LSQ's step gradient only; got "
            f"mask {settings.mask!r} and step gradient {settings.step_gradient!r}. Use kernel='eager'."
        )
    scale_G = positive_scale(step_G, settings.is_log)
    if not settings.is_log:
        scale_G = _through(scale_G, step_G)
    zero_G = torch.zeros_like(step_G) if zero_point_G is None else zero_point_G
    factor = gradient_factor(x, step_G.numel(), settings)
    if settings.axis is None:
        y = torch._fake_quantize_learnable_per_tensor_affine(
            x, scale_G, zero_G, settings.quant_min, settings.quant_max, factor
        )
    else:
        repeat = x.shape[settings.axis] // step_G.numel()
        if repeat > 1:
            scale_G, zero_G = scale_G.repeat_interleave(repeat), zero_G.repeat_interleave(repeat)
        y = torch._fake_quantize_learnable_per_channel_affine(
            x, scale_G, zero_G, settings.axis % x.ndim, settings.quant_min, settings.quant_max, factor
        )
    return torch.where(x.isnan(), x, y)
