"""What is left of a quantized detector when the simulation is taken away: integers, scales and a few float tensors.

Shape letters: G steps of a tensor, C output channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from crqat_pipeline.quantization.grid import IntegerGrid


@dataclass(frozen=True)
class AffineParameters:
    """A grid, its scale_G (float32) and zero_point_G (int32); axis: of the steps in the tensor, None for one step."""

    grid: IntegerGrid
    scale_G: Tensor
    zero_point_G: Tensor
    axis: int | None


@dataclass(frozen=True)
class ConvGeometry:
    """Geometry of a convolution in pixels, (vertical, horizontal); the padding holds the input's zero point."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True)
class IntegerLayer:
    """y = (sum of (input code - zero point) * (weight code - weight zero point)) * input scale * weight scale + bias.

    weight_codes: int8 (uint8 for an asymmetric weight), shape of the layer's weight. weight: its grid, scale_C with the
    BatchNorm's gain folded in, axis 0. bias_C: float32, BatchNorm's shift folded in, or None. input: None for a
    weight-only layer. output: pre-activation quantizer, applied to y, or None. folded_batch_norm: name of the BatchNorm
    that disappeared.
    """

    kind: Literal["convolution", "linear"]
    weight_codes: Tensor
    weight: AffineParameters
    bias_C: Tensor | None
    input: AffineParameters | None
    output: AffineParameters | None
    geometry: ConvGeometry | None
    folded_batch_norm: str | None


@dataclass(frozen=True)
class IntegerModel:
    """layers and operands (of attention products) by module name; float_tensors: the rest of the state dict."""

    layers: Mapping[str, IntegerLayer]
    operands: Mapping[str, AffineParameters]
    float_tensors: Mapping[str, Tensor]
