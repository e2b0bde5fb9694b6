# mypy: ignore-errors
# (Triton reads these functions as source; it has no types.)
"""The Triton kernels of triton_fused.py: every value is read once and written once per direction.

A tensor in memory order is O outer slabs of G rows of `inner` values; one step serves each row. A program takes the
step's share of BLOCK values: number k of step g lies at (k // inner * G + g) * inner + k % inner.

Codes are rounded half to even by adding and taking off 1.5 * 2^23, after they were clamped to the grid: exact in
float32 for codes of at most 8 bits, and the same under Triton's interpreter.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton import knobs
from triton.language.extra import libdevice

ROUNDER = tl.constexpr(12582912.0)


if knobs.runtime.interpret:

    @triton.jit
    def exponential(x):
        """The interpreter has this one only."""
        return tl.exp(x)

else:

    @triton.jit
    def exponential(x):
        """That of PyTorch: tl.exp is an approximation on a GPU, and the scale must be the one of every other kernel."""
        return libdevice.exp(x)


@triton.jit
def scale_and_zero(step, zero_point, g, low, high, smallest, largest, IS_LOG: tl.constexpr, HAS_ZERO: tl.constexpr):
    """The positive step and the integer zero point of step number g."""
    scale = tl.load(step + g)
    if IS_LOG:
        scale = exponential(scale)
    scale = tl.minimum(
        tl.maximum(scale, smallest, propagate_nan=tl.PropagateNan.ALL), largest, propagate_nan=tl.PropagateNan.ALL
    )
    zero = 0.0
    if HAS_ZERO:
        zero = tl.minimum(tl.maximum(tl.load(zero_point + g), low), high)
        zero = (zero + ROUNDER) - ROUNDER
    return scale, zero


@triton.jit
def places(k, g, num_steps, inner, IS_ONE_STEP: tl.constexpr):
    """Where the values number k of step g lie in memory."""
    if IS_ONE_STEP:
        return k
    return (k // inner * num_steps + g) * inner + k % inner


@triton.jit(do_not_specialize=["num_steps", "inner", "low", "high"])
def forward_kernel(
    x,
    y,
    step,
    zero_point,
    count,
    num_steps,
    inner,
    low,
    high,
    smallest,
    largest,
    IS_LOG: tl.constexpr,
    HAS_ZERO: tl.constexpr,
    IS_ONE_STEP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """y = clamp(round(x / scale), low - zero, high - zero) * scale. count: values of a step."""
    g = tl.program_id(1)
    k = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    at = places(k, g, num_steps, inner, IS_ONE_STEP)
    scale, zero = scale_and_zero(step, zero_point, g, low, high, smallest, largest, IS_LOG, HAS_ZERO)
    value = tl.div_rn(tl.load(x + at, mask=k < count, other=0.0).to(tl.float32), scale)
    code = tl.minimum(
        tl.maximum(value, low - zero, propagate_nan=tl.PropagateNan.ALL),
        high - zero,
        propagate_nan=tl.PropagateNan.ALL,
    )
    code = (code + ROUNDER) - ROUNDER
    tl.store(y + at, (code * scale).to(y.dtype.element_ty), mask=k < count)


@triton.jit(do_not_specialize=["num_steps", "inner", "low", "high"])
def backward_kernel(
    gradient,
    x,
    dx,
    step,
    zero_point,
    sums,
    count,
    num_steps,
    inner,
    low,
    high,
    margin,
    smallest,
    largest,
    IS_LOG: tl.constexpr,
    HAS_ZERO: tl.constexpr,
    IS_ONE_STEP: tl.constexpr,
    MOVES_BY_ROUNDING: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """dx, and of every program the sums that the gradients of its step and zero point are made of: (2, G, programs)."""
    program, g = tl.program_id(0), tl.program_id(1)
    k = program * BLOCK + tl.arange(0, BLOCK)
    at = places(k, g, num_steps, inner, IS_ONE_STEP)
    scale, zero = scale_and_zero(step, zero_point, g, low, high, smallest, largest, IS_LOG, HAS_ZERO)
    value = tl.div_rn(tl.load(x + at, mask=k < count, other=0.0).to(tl.float32), scale)
    pull = tl.load(gradient + at, mask=k < count, other=0.0).to(tl.float32)
    is_outside = (value + zero <= low - margin) | (value + zero >= high + margin)
    code = tl.minimum(
        tl.maximum(value, low - zero, propagate_nan=tl.PropagateNan.ALL),
        high - zero,
        propagate_nan=tl.PropagateNan.ALL,
    )
    code = (code + ROUNDER) - ROUNDER
    inside = 0.0
    if MOVES_BY_ROUNDING:
        inside = code - value
    tl.store(dx + at, tl.where(is_outside, 0.0, pull).to(dx.dtype.element_ty), mask=k < count)
    row = g * tl.num_programs(0) + program
    tl.store(sums + row, tl.sum(pull * tl.where(is_outside, code, inside)))
    if HAS_ZERO:
        tl.store(sums + num_steps * tl.num_programs(0) + row, tl.sum(tl.where(is_outside, pull, 0.0)))


@triton.jit(do_not_specialize=["num_steps", "programs", "low", "high"])
def finish_kernel(
    sums,
    step,
    zero_point,
    dstep,
    dzero,
    num_steps,
    programs,
    low,
    high,
    factor,
    smallest,
    largest,
    IS_LOG: tl.constexpr,
    HAS_ZERO: tl.constexpr,
    HOLDS_ON_GRID: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The programs' sums in a fixed order, times what the stored parameters need."""
    g = tl.program_id(0)
    scale, _ = scale_and_zero(step, zero_point, g, low, high, smallest, largest, IS_LOG, HAS_ZERO)
    of_step = tl.zeros([BLOCK], dtype=tl.float32)
    of_zero = tl.zeros([BLOCK], dtype=tl.float32)
    for start in range(0, programs, BLOCK):
        at = start + tl.arange(0, BLOCK)
        of_step += tl.load(sums + g * programs + at, mask=at < programs, other=0.0)
        if HAS_ZERO:
            of_zero += tl.load(sums + (num_steps + g) * programs + at, mask=at < programs, other=0.0)
    total = tl.sum(of_step) * factor
    if IS_LOG:
        total = total * scale
    tl.store(dstep + g, total)
    if HAS_ZERO:
        push = -scale * tl.sum(of_zero) * factor
        if HOLDS_ON_GRID:
            stored = tl.load(zero_point + g)
            leaves = ((stored <= low) & (push > 0)) | ((stored >= high) & (push < 0))
            push = tl.where(leaves, 0.0, push)
        tl.store(dzero + g, push)
