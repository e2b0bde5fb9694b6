"""The fused kernel of a GPU: one launch forward, two backward; float32 and half precision.

Triton comes with the CUDA builds of PyTorch. Same forward values as the eager kernel, and the same gradients up to the
order of sums, which is fixed: two runs agree to the bit. Only x is kept for the backward pass.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crqat_pipeline.quantization.affine import LARGEST_SCALE, SMALLEST_SCALE
from crqat_pipeline.quantization.kernels.empty import fake_quantize_nothing
from crqat_pipeline.quantization.kernels.layout import dense, laid_out_like
from crqat_pipeline.quantization.kernels.settings import KernelSettings, gradient_factor
from crqat_pipeline.runtime.ranks import num_ranks

_LARGEST = 2**31 - 1
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


class _Walk(NamedTuple):
    """Of a dense tensor in memory order: values of each of num_steps steps, in runs of inner."""

    values: int
    num_steps: int
    inner: int
    block: int

    @property
    def programs(self) -> int:
        return -(-self.values // self.block)


class TritonFakeQuantize(torch.autograd.Function):
    """y = dequantize(quantize(x)), straight-through for x, learned step and zero point."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
        walk = _walk_of(x, step_G.numel(), settings.axis)
        y = torch.empty_like(x)
        has_zero = zero_point_G is not None
        _source().forward_kernel[(walk.programs, walk.num_steps)](
            x,
            y,
            step_G,
            zero_point_G if has_zero else step_G,
            *walk[:3],
            settings.quant_min,
            settings.quant_max,
            SMALLEST_SCALE,
            LARGEST_SCALE,
            settings.is_log,
            has_zero,
            walk.num_steps == 1,
            walk.block,
        )
        ctx.save_for_backward(x, step_G, zero_point_G)
        ctx.walk, ctx.settings = walk, settings
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, step_G, zero_point_G = ctx.saved_tensors
        walk, settings = ctx.walk, ctx.settings
        has_zero = zero_point_G is not None
        gradient = laid_out_like(x, gradient)
        dx = torch.empty_like(x)
        sums = torch.empty(2 * walk.num_steps * walk.programs, dtype=torch.float32, device=x.device)
        _source().backward_kernel[(walk.programs, walk.num_steps)](
            gradient,
            x,
            dx,
            step_G,
            zero_point_G if has_zero else step_G,
            sums,
            *walk[:3],
            settings.quant_min,
            settings.quant_max,
            settings.margin,
            SMALLEST_SCALE,
            LARGEST_SCALE,
            settings.is_log,
            has_zero,
            walk.num_steps == 1,
            settings.step_gradient == "lsq",
            walk.block,
        )
        if not (ctx.needs_input_grad[1] or ctx.needs_input_grad[2]):
            return dx, None, None, None
        dstep_G = torch.empty_like(step_G)
        dzero_G = torch.empty_like(zero_point_G) if has_zero else None
        _source().finish_kernel[(walk.num_steps,)](
            sums,
            step_G,
            zero_point_G if has_zero else step_G,
            dstep_G,
            dzero_G if has_zero else dstep_G,
            walk.num_steps,
            walk.programs,
            settings.quant_min,
            settings.quant_max,
            gradient_factor(x, walk.num_steps, settings),
            SMALLEST_SCALE,
            LARGEST_SCALE,
            settings.is_log,
            has_zero,
            num_ranks() == 1,
            1024,
        )
        wants_zero = has_zero and ctx.needs_input_grad[2]
        return dx, dstep_G if ctx.needs_input_grad[1] else None, dzero_G if wants_zero else None, None


def fake_quantize_triton(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x. Raises ValueError where the kernel cannot run: other devices or dtypes, no Triton."""
    if not is_for_triton(x, step_G):
        raise ValueError(
            "The triton kernel needs Triton, a tensor of float32, bfloat16 or float16 on a GPU, and steps of float32; "
            f"got {x.dtype} on {x.device}. Use kernel='auto'."
        )
    if x.numel() == 0:
        return fake_quantize_nothing(x, step_G, zero_point_G)
    result: Tensor = TritonFakeQuantize.apply(dense(x), step_G, zero_point_G, settings)  # type: ignore[no-untyped-call]
    return result


def is_for_triton(x: Tensor, step_G: Tensor) -> bool:
    """True for tensors that this kernel takes: on a GPU, or anywhere under Triton's interpreter."""
    if x.dtype not in _TYPES or step_G.dtype != torch.float32 or x.numel() > _LARGEST:
        return False
    return (x.is_cuda or _is_interpreted()) and _source_or_none() is not None


@cache
def _source_or_none() -> ModuleType | None:
    try:
        from crqat_pipeline.quantization.kernels import triton_source
    except ImportError:
        return None
    return triton_source


def _source() -> Any:
    return _source_or_none()


@cache
def _is_interpreted() -> bool:
    if _source_or_none() is None:
        return False
    from triton import knobs

    return bool(knobs.runtime.interpret)


def _walk_of(x: Tensor, num_steps: int, axis: int | None) -> _Walk:
    """How the kernels walk through a dense x: the axis of the steps is one of its memory's axes."""
    values = x.numel() // num_steps
    inner = values
    if axis is not None and num_steps > 1:
        inner = x.stride(axis) * (x.shape[axis] // num_steps)
    return _Walk(values, num_steps, inner, 4096 if values >= 1 << 20 else 1024)
