"""Eager passes on a CPU, block by block, each block small enough for the cache and under a single step.

With y the output, G the incoming gradient and Gx = G where x lies inside the mask, else 0:

    dx = Gx        dscale = (<G, y> - <Gx, x>) / scale        dzero_point = -scale (sum G - sum Gx)

which equals the sum over elements of LSQ and LSQ+ (round(v) - v inside, the clipped code outside), because
y / scale is that code. PACT's gradient replaces <Gx, x> by <Gx, y>. Only x and y are kept for the backward pass, and
y is kept by the convolution that follows anyway.

Shape letters: G steps of a tensor, N elements of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crqat_pipeline.quantization.kernels.layout import by_step, laid_out_like
from crqat_pipeline.quantization.kernels.settings import (
    KernelSettings,
    gradient_factor,
    integer_zero_point,
    positive_scale,
)
from crqat_pipeline.runtime.ranks import num_ranks

_BLOCK = 1 << 18
_SMALLEST_ROW = 1 << 11
_WIDE = (torch.float32, torch.float64)
_MASKED = torch.ops.aten.hardtanh_backward.grad_input


def is_worth_blocking(x: Tensor, step_G: Tensor, settings: KernelSettings) -> bool:
    """True if x lies on a CPU in rows long enough to pay for a Python loop over them."""
    if x.device.type != "cpu" or x.dtype not in _WIDE:
        return False
    if settings.axis is None:
        return True
    rows = step_G.numel()
    for size in x.shape[: settings.axis % x.ndim]:
        rows *= size
    is_in_order = x.is_contiguous() or settings.axis % x.ndim == 0
    return is_in_order and x.numel() >= rows * _SMALLEST_ROW


class BlockedFakeQuantize(torch.autograd.Function):
    """y = dequantize(quantize(x)) of a dense x, straight-through for x, learned step and zero point."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
        scales = positive_scale(step_G, settings.is_log).tolist()
        zeros = [0.0] * len(scales)
        if zero_point_G is not None:
            zeros = integer_zero_point(zero_point_G, settings).tolist()
        y = torch.empty_like(x)
        for index, x_N, y_N in _blocks(len(scales), settings.axis, x, y):
            scale, zero = scales[index], zeros[index]
            torch.div(x_N, scale, out=y_N).round_()
            y_N.clamp_(settings.quant_min - zero, settings.quant_max - zero).mul_(scale)
        ctx.save_for_backward(x, y, step_G, zero_point_G)
        ctx.scales, ctx.zeros, ctx.settings = scales, zeros, settings
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, y, step_G, zero_point_G = ctx.saved_tensors
        settings: KernelSettings = ctx.settings
        scales: list[float] = ctx.scales
        wants_x, wants_step, wants_zero, _ = ctx.needs_input_grad
        inside = torch.empty_like(x)
        low, high = settings.quant_min - settings.margin, settings.quant_max + settings.margin
        aligned = laid_out_like(x, gradient)
        owners: list[int] = []
        dots: list[Tensor] = []
        totals: list[Tensor] = []
        for index, x_N, y_N, gradient_N, inside_N in _blocks(len(scales), settings.axis, x, y, aligned, inside):
            scale, zero = scales[index], ctx.zeros[index]
            _MASKED(gradient_N, x_N, (low - zero) * scale, (high - zero) * scale, grad_input=inside_N)
            owners.append(index)
            if wants_step:
                other_N = x_N if settings.step_gradient == "lsq" else y_N
                dots += (torch.dot(gradient_N, y_N), torch.dot(inside_N, other_N))
            if wants_zero:
                totals += (gradient_N.sum(), inside_N.sum())
        factor = gradient_factor(x, len(scales), settings)
        dstep_G = dzero_G = None
        if wants_step:
            sums = _differences(dots, owners, len(scales))
            powers = [1.0] * len(scales) if settings.is_log else scales
            steps = [value * factor / power for value, power in zip(sums, powers, strict=True)]
            dstep_G = torch.tensor(steps, dtype=step_G.dtype)
        if wants_zero:
            sums = _differences(totals, owners, len(scales))
            pushes = [-scale * value * factor for scale, value in zip(scales, sums, strict=True)]
            dzero_G = torch.tensor(held_on_grid(zero_point_G.tolist(), pushes, settings), dtype=zero_point_G.dtype)
        return (inside if wants_x else None), dstep_G, dzero_G, None


def _blocks(num_steps: int, axis: int | None, *tensors: Tensor) -> Iterator[tuple[Any, ...]]:
    """(index of the step, one flat block of each tensor), for tensors of the same dense layout."""
    if axis is None and tensors[0].numel() <= _BLOCK and tensors[0].is_contiguous():
        yield 0, *(tensor.view(-1) for tensor in tensors)
        return
    views = [by_step(tensor, num_steps, axis).flatten(0, 1) for tensor in tensors]
    for row, rows_N in enumerate(zip(*(view.unbind(0) for view in views), strict=True)):
        for blocks_N in zip(*(row_N.split(_BLOCK) for row_N in rows_N), strict=True):
            yield row % num_steps, *blocks_N


def _differences(pairs: list[Tensor], owners: list[int], num_steps: int) -> list[float]:
    """Sum of (even minus odd) entries by the step that owns the pair, in float64."""
    sums = [0.0] * num_steps
    values = torch.stack(pairs).tolist() if pairs else []
    for position, owner in enumerate(owners):
        sums[owner] += values[2 * position] - values[2 * position + 1]
    return sums


def held_on_grid(zero_points: list[float], gradients: list[float], settings: KernelSettings) -> list[float]:
    """Drop gradients that would push a zero point off the grid; none of a part of a batch, as in broadcast.py."""
    if num_ranks() > 1:
        return gradients
    low, high = settings.quant_min, settings.quant_max
    return [
        0.0 if (zero <= low and gradient > 0) or (zero >= high and gradient < 0) else gradient
        for zero, gradient in zip(zero_points, gradients, strict=True)
    ]
