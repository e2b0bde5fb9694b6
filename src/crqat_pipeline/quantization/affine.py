"""Uniform affine quantization: the one definition that every other file of this room is held against.

    code = clamp(round(x / scale) + zero_point, quant_min, quant_max)
    x^   = (code - zero_point) * scale

Rounding is to nearest, ties to even, after a division (not a multiplication by 1/scale): the two differ in the
last bit, and ONNX QuantizeLinear divides. (CR-QAT paper, equations 1 and 2, with an integer zero point.)

Shape letters: G steps of a tensor (1 per tensor, else along `axis`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from crqat_pipeline.quantization.grid import IntegerGrid

SMALLEST_SCALE, LARGEST_SCALE = 1e-8, 1e8


def along_axis(parameter_G: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """Reshape (G,) so that it broadcasts against x; G may divide the axis (groups of neighbours)."""
    if axis is None:
        return parameter_G.reshape(())
    size = x.shape[axis]
    if parameter_G.numel() != size:
        parameter_G = parameter_G.repeat_interleave(size // parameter_G.numel())
    shape = [1] * x.ndim
    shape[axis] = size
    return parameter_G.reshape(shape)


def quantize(
    x: Tensor, scale_G: Tensor, zero_point_G: Tensor | None, grid: IntegerGrid, axis: int | None = None
) -> Tensor:
    """Integer codes of x as float tensor (exact integers). Same shape as x; NaN stays NaN."""
    codes = torch.div(x, along_axis(scale_G, x, axis)).round_()
    if zero_point_G is not None:
        codes += along_axis(zero_point_G, x, axis)
    return codes.clamp_(grid.quant_min, grid.quant_max)


def dequantize(codes: Tensor, scale_G: Tensor, zero_point_G: Tensor | None, axis: int | None = None) -> Tensor:
    """(codes - zero_point) * scale in the dtype of the scale."""
    values = codes.to(scale_G.dtype)
    if zero_point_G is not None:
        values = values - along_axis(zero_point_G, values, axis)
    return values * along_axis(scale_G, values, axis)


def choose_qparams(low_G: Tensor, high_G: Tensor, grid: IntegerGrid) -> tuple[Tensor, Tensor]:
    """Scale and integer zero point (G,) whose grid covers [low, high] and contains zero.

    A range that is a single point at zero gets the scale 1/quant_max.
    """
    low_G, high_G = low_G.clamp(max=0.0), high_G.clamp(min=0.0)
    if grid.is_symmetric:
        reach_G = torch.maximum(low_G.abs(), high_G)
        reach_G = torch.where(reach_G == 0, torch.ones_like(reach_G), reach_G)
        return (reach_G / grid.quant_max).clamp(min=SMALLEST_SCALE), torch.zeros_like(reach_G)
    width_G = high_G - low_G
    width_G = torch.where(width_G == 0, torch.ones_like(width_G), width_G)
    scale_G = (width_G / (grid.quant_max - grid.quant_min)).clamp(min=SMALLEST_SCALE)
    zero_point_G = (grid.quant_min - low_G / scale_G).round().clamp(grid.quant_min, grid.quant_max)
    return scale_G, zero_point_G
