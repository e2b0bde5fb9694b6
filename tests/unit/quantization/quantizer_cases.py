"""Float64 reference of every kernel, element by element, and inputs that avoid ties."""

from __future__ import annotations

import torch
from torch import Tensor

from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.kernels.settings import KernelSettings


def settings_of(quant_min: int = 0, quant_max: int = 15, axis: int | None = None, **changes: object) -> KernelSettings:
    values = {"is_log": False, "mask": "strict", "step_gradient": "lsq", "gradient_scale": "none"} | changes
    return KernelSettings(quant_min, quant_max, axis, **values)  # type: ignore[arg-type]


def reference_gradients(
    x: Tensor, scale_G: Tensor, zero_G: Tensor, gradient: Tensor, settings: KernelSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """dx, dscale_G, dzero_G by the table of LSQ / LSQ+, in float64; zero_G holds integers."""
    x, gradient = x.double(), gradient.double()
    scale = along_axis(scale_G.double(), x, settings.axis)
    zero = along_axis(zero_G.double(), x, settings.axis)
    value = x / scale + zero
    low, high = settings.quant_min, settings.quant_max
    inside = (value > low - settings.margin) & (value < high + settings.margin)
    code = value.round().clamp(low, high) - zero
    per_element = torch.where(inside, code - x / scale if settings.step_gradient == "lsq" else 0.0, code)
    dstep = gradient * per_element
    dzero = torch.where(inside, 0.0, -scale) * gradient
    if settings.axis is None:
        return gradient * inside, dstep.sum().reshape(1), dzero.sum().reshape(1)
    other = [dim for dim in range(x.ndim) if dim != settings.axis % x.ndim]
    groups = scale_G.numel()
    dstep_G, dzero_G = (_by_step(values, other, groups) for values in (dstep, dzero))
    return gradient * inside, dstep_G, dzero_G


def _by_step(values: Tensor, other: list[int], groups: int) -> Tensor:
    sum_C = values.sum(other) if other else values
    return sum_C.reshape(groups, -1).sum(1)
