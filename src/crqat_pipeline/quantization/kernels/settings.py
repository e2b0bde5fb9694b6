"""What a kernel must know besides its tensors, and how stored parameters become steps and zero points.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal, NamedTuple

from torch import Tensor

from crqat_pipeline.quantization.affine import LARGEST_SCALE, SMALLEST_SCALE
from crqat_pipeline.runtime.ranks import batch_ratio

Mask = Literal["strict", "rounded"]
StepGradient = Literal["lsq", "clip"]
GradientScale = Literal["none", "elements", "features"]


class KernelSettings(NamedTuple):
    """quant_min, quant_max: codes. axis: of the steps, None per tensor. is_log: the stored step is log(scale).

    mask: which x keep their gradient: "strict" where quant_min < x/s + z < quant_max, "rounded" half a step wider
    (every x whose rounded code lies on the grid). step_gradient: "lsq" (rounding and clipping move the step) or
    "clip" (only clipped values do, PACT). gradient_scale: LSQ's 1/sqrt(N quant_max) on the gradients of step and zero
    point, N = elements of a step, or elements per image ("features"). of_batch: x grows with the images of a batch, so
    that each of several workers has a part of its elements.
    """

    quant_min: int
    quant_max: int
    axis: int | None
    is_log: bool
    mask: Mask
    step_gradient: StepGradient
    gradient_scale: GradientScale
    of_batch: bool = False

    @property
    def margin(self) -> float:
        """By how many steps the mask is wider than the grid."""
        return 0.5 if self.mask == "rounded" else 0.0


def positive_scale(step_G: Tensor, is_log: bool) -> Tensor:
    """The scale that a stored step stands for: always positive, NaN stays NaN."""
    return (step_G.exp() if is_log else step_G).clamp(SMALLEST_SCALE, LARGEST_SCALE)


def integer_zero_point(zero_point_G: Tensor, settings: KernelSettings) -> Tensor:
    """The stored zero point, clamped to the grid and rounded."""
    return zero_point_G.clamp(settings.quant_min, settings.quant_max).round()


def gradient_factor(x: Tensor, num_steps: int, settings: KernelSettings) -> float:
    """LSQ's gradient scale 1/sqrt(N * quant_max) (Esser et al. 2020, section 2.2), or 1."""
    if settings.gradient_scale == "none":
        return 1.0
    count = x.numel() / num_steps
    if settings.gradient_scale == "features":
        count /= max(x.shape[0], 1) if x.ndim else 1
    elif settings.of_batch:
        count *= batch_ratio()
    return 1.0 / sqrt(max(count, 1.0) * settings.quant_max)
