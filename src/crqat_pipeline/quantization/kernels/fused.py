"""The fused kernel: C code that reads and writes every value once per direction, for float32 on a CPU.

Same forward values as the eager kernel, bit for bit, and the same gradients up to the order of sums. Only x is kept
for the backward pass.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

import ctypes
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crqat_pipeline.quantization.kernels.blocked import held_on_grid
from crqat_pipeline.quantization.kernels.empty import fake_quantize_nothing
from crqat_pipeline.quantization.kernels.fused_library import load_fused
from crqat_pipeline.quantization.kernels.layout import dense, laid_out_like
from crqat_pipeline.quantization.kernels.settings import (
    KernelSettings,
    gradient_factor,
    integer_zero_point,
    positive_scale,
)

_SMALLEST_PER_THREAD = 1 << 15


class _Walk(NamedTuple):
    """How fused.c walks through x: outer slabs, stride values apart, of groups rows of inner values."""

    outer: int
    groups: int
    inner: int
    stride: int
    threads: int


class FusedFakeQuantize(torch.autograd.Function):
    """y = dequantize(quantize(x)), straight-through for x, learned step and zero point."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
        scale_G = positive_scale(step_G, settings.is_log)
        zero_G = torch.zeros_like(scale_G) if zero_point_G is None else integer_zero_point(zero_point_G, settings)
        x, walk = _walked(x, step_G.numel(), settings.axis)
        y = torch.empty_like(x) if walk.outer == 1 else torch.empty(x.shape, dtype=x.dtype)
        _library().crqat_forward(
            x.data_ptr(),
            walk.stride,
            y.data_ptr(),
            *walk[:3],
            scale_G.data_ptr(),
            zero_G.data_ptr(),
            settings.quant_min,
            settings.quant_max,
            walk.threads,
        )
        ctx.save_for_backward(x, scale_G, zero_G, zero_point_G)
        ctx.walk, ctx.settings = walk, settings
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, scale_G, zero_G, zero_point_G = ctx.saved_tensors
        walk, settings = ctx.walk, ctx.settings
        gradient = laid_out_like(x, gradient) if walk.outer == 1 else gradient.contiguous()
        inside = torch.empty_like(gradient)
        sums_2G = torch.empty(2, walk.groups, dtype=torch.float64)
        done = _library().crqat_backward(
            gradient.data_ptr(),
            x.data_ptr(),
            walk.stride,
            inside.data_ptr(),
            *walk[:3],
            scale_G.data_ptr(),
            zero_G.data_ptr(),
            settings.quant_min,
            settings.quant_max,
            settings.margin,
            settings.step_gradient == "lsq",
            sums_2G.data_ptr(),
            sums_2G.data_ptr() + walk.groups * sums_2G.element_size(),
            walk.threads,
        )
        if not done:
            raise MemoryError(f"No memory for the partial sums of a tensor of shape {tuple(x.shape)}.")
        factor = gradient_factor(x, walk.groups, settings)
        dstep_G = dzero_G = None
        if ctx.needs_input_grad[1]:
            dstep_G = (sums_2G[0] * (scale_G * factor if settings.is_log else factor)).to(scale_G.dtype)
        if ctx.needs_input_grad[2]:
            pushes = (sums_2G[1] * scale_G).mul_(-factor).tolist()
            dzero_G = torch.tensor(held_on_grid(zero_point_G.tolist(), pushes, settings), dtype=zero_point_G.dtype)
        return (inside if ctx.needs_input_grad[0] else None), dstep_G, dzero_G, None


def fake_quantize_fused(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x. Raises ValueError where the kernel cannot run: other devices or dtypes, no C compiler."""
    library = load_fused()
    if isinstance(library, str) or not is_fusable(x, step_G):
        reason = library if isinstance(library, str) else f"got {x.dtype} on {x.device}"
        raise ValueError(f"The fused kernel needs float32 on a CPU and a C compiler; {reason}. Use kernel='auto'.")
    if x.numel() == 0:
        return fake_quantize_nothing(x, step_G, zero_point_G)
    result: Tensor = FusedFakeQuantize.apply(x, step_G, zero_point_G, settings)  # type: ignore[no-untyped-call]
    return result


def is_fusable(x: Tensor, step_G: Tensor) -> bool:
    """True for float32 on a CPU."""
    return x.device.type == "cpu" and x.dtype == torch.float32 == step_G.dtype


def _library() -> ctypes.CDLL:
    library = load_fused()
    assert not isinstance(library, str)
    return library


def _walked(x: Tensor, num_steps: int, axis: int | None) -> tuple[Tensor, _Walk]:
    """x, copied only if fused.c cannot walk through its memory, and the way to walk."""
    threads = max(1, min(torch.get_num_threads(), x.numel() // _SMALLEST_PER_THREAD))
    axis = None if axis is None else axis % x.ndim
    if axis in (None, 1) and x.ndim > 1 and x.numel() and not x.is_contiguous() and x[0].is_contiguous():
        return x, _Walk(x.shape[0], num_steps, x[0].numel() // num_steps, x.stride(0), threads)  # some channels
    x = dense(x) if axis in (None, 0) else x.contiguous()
    outer = prod(x.shape[: axis or 0])
    slab = x.numel() // max(outer, 1)
    return x, _Walk(outer, num_steps, slab // num_steps, slab, threads)
