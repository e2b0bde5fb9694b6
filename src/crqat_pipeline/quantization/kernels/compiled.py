"""The eager kernel's passes fused by torch.compile, with gradients summed element by element.

Worth it where a C++ or Triton compiler exists and a run is long: one compilation (about ten seconds, cached on disk)
serves every shape, because tensors enter as (outer, steps, inner).

Shape letters: O outer, G steps of a tensor, N inner.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crqat_pipeline.quantization.kernels.broadcast import held_on_grid
from crqat_pipeline.quantization.kernels.empty import fake_quantize_nothing
from crqat_pipeline.quantization.kernels.layout import back_to_shape, by_step, dense, laid_out_like
from crqat_pipeline.quantization.kernels.settings import (
    KernelSettings,
    gradient_factor,
    integer_zero_point,
    positive_scale,
)


class CompiledFakeQuantize(torch.autograd.Function):
    """Same result and gradients as EagerFakeQuantize; keeps only x for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
        x = dense(x)
        ctx.save_for_backward(x, step_G, zero_point_G)
        ctx.settings = settings
        x_OGN = by_step(x, step_G.numel(), settings.axis).data
        scale_G, zero_G = _used(step_G, zero_point_G, settings)
        y_OGN = _compiled(_forward)(x_OGN, scale_G, zero_G, settings.quant_min, settings.quant_max)
        return back_to_shape(y_OGN, x, settings.axis)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, step_G, zero_point_G = ctx.saved_tensors
        settings: KernelSettings = ctx.settings
        num_steps = step_G.numel()
        scale_G, zero_G = _used(step_G, zero_point_G, settings)
        inside_OGN, dscale_G, dzero_G = _compiled(_backward)(
            by_step(laid_out_like(x, gradient), num_steps, settings.axis).data,
            by_step(x, num_steps, settings.axis).data,
            scale_G,
            zero_G,
            settings.quant_min,
            settings.quant_max,
            settings.margin,
            settings.step_gradient == "lsq",
        )
        factor = gradient_factor(x, num_steps, settings)
        dstep_G = (dscale_G * (scale_G * factor if settings.is_log else factor)).to(step_G.dtype)
        dzero_point_G = None
        if zero_point_G is not None:
            dzero_point_G = held_on_grid(zero_point_G, dzero_G * factor, settings).to(zero_point_G.dtype)
        return back_to_shape(inside_OGN, x, settings.axis), dstep_G, dzero_point_G, None


def fake_quantize_compiled(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x with fused passes; y has the shape and dtype of x."""
    if x.numel() == 0:
        return fake_quantize_nothing(x, step_G, zero_point_G)
    result: Tensor = CompiledFakeQuantize.apply(x, step_G, zero_point_G, settings)  # type: ignore[no-untyped-call]
    return result


def _forward(x_OGN: Tensor, scale_G: Tensor, zero_G: Tensor, low: int, high: int) -> Tensor:
    scale, zero = scale_G[:, None], zero_G[:, None]
    code = torch.clamp(torch.round(x_OGN.to(scale.dtype) / scale), low - zero, high - zero)
    return (code * scale).to(x_OGN.dtype)


def _backward(
    gradient_OGN: Tensor,
    x_OGN: Tensor,
    scale_G: Tensor,
    zero_G: Tensor,
    low: int,
    high: int,
    margin: float,
    moves_by_rounding: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    scale, zero = scale_G[:, None], zero_G[:, None]
    value = x_OGN.to(scale.dtype) / scale
    gradient = gradient_OGN.to(scale.dtype)
    is_outside = (value + zero <= low - margin) | (value + zero >= high + margin)
    code = torch.clamp(torch.round(value), low - zero, high - zero)
    error = code - value if moves_by_rounding else torch.zeros_like(code)
    dscale_G = (gradient * torch.where(is_outside, code, error)).sum((0, 2))
    dzero_G = -scale_G * torch.where(is_outside, gradient, 0.0).sum((0, 2))
    return torch.where(is_outside, 0.0, gradient).to(gradient_OGN.dtype), dscale_G, dzero_G


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=True)


def _used(step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> tuple[Tensor, Tensor]:
    scale_G = positive_scale(step_G, settings.is_log)
    if zero_point_G is None:
        return scale_G, torch.zeros_like(scale_G)
    return scale_G, integer_zero_point(zero_point_G, settings)
