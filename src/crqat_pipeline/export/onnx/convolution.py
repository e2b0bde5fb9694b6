"""Convolutions: float ones with their BatchNorm folded in, integer ones from their codes.

Shape letters: B images, C channels, O output channels, H W pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crqat_pipeline.export.integer_weight import IntegerWeight, bias_unit, integer_weight
from crqat_pipeline.export.onnx.code_grid import CodeGrid, grid_of
from crqat_pipeline.export.onnx.emission import Emission, WeightGrid
from crqat_pipeline.export.onnx.feature_map import FeatureMap, Plain
from crqat_pipeline.export.onnx.saturation import CODES, MIDDLE, ZERO_POINT
from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.channel_affine import ChannelAffine, affine_of
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantBatchNorm2d, QuantConv2d, QuantLinear

FINEST_BIAS = 2**30
SMALLEST_UNIT = 1e-30


def convolve(emission: Emission, conv: nn.Conv2d, batch_norm: nn.BatchNorm2d | None, feature: FeatureMap) -> str:
    """The float tensor after convolution, BatchNorm and, where the form keeps it, pre-activation quantizer."""
    affine = None if batch_norm is None else affine_of(batch_norm)
    name = emission.name(conv)
    if not is_integer(emission, conv):
        inputs = [emission.floats(feature), *_float_parameters(emission, conv, affine)]
        return emission.graph.node("Conv", *inputs, name=name, **geometry(conv))
    assert isinstance(conv, QuantConv2d)
    assert conv.input_quantizer is not None
    x = emission.on_grid(conv.input_quantizer, feature)
    weight = integer_weight(conv, affine)
    grid, output_quantizer = grid_of(conv.input_quantizer), pre_activation_quantizer(emission, conv, batch_norm)
    bias = _bias(emission, name, weight, grid, output_quantizer is not None)
    values = integer_values(emission, name, weight, grid)
    y = emission.graph.node("Conv", x, values, *bias, name=name, **geometry(conv))
    return y if output_quantizer is None else emission.on_grid(output_quantizer, Plain(y))


def convolution(emission: Emission, conv: nn.Conv2d, feature: FeatureMap) -> Plain:
    """A convolution that stands alone."""
    return Plain(convolve(emission, conv, None, feature))


def integer_values(emission: Emission, name: str, weight: IntegerWeight, grid: CodeGrid) -> str:
    """Name of the dequantized weight of a layer whose input lies on `grid`.

    Byte forms store int4 codes, widened to int8 when the model is loaded and multiplied there by `weight.multiplier`:
    the integer kernel rounds the bias to input scale * weight scale, and a finer weight scale makes that finer too.
    A layer whose pairs of products leave 16 bits is named, as CPUs without VNNI saturate signed weights there, and
    stored as uint8 where that was asked for.
    """
    graph = emission.graph
    if emission.form.is_ranged:
        return _values_on_grid(emission, name, weight)
    multiplier = weight.multiplier(grid.max_code) if emission.form.has_byte_activations else 1
    scale = graph.constant(weight.scale_O / multiplier, f"{name}.weight_scale")
    if emission.form.is_symmetric:
        codes = graph.constant(weight.codes, CODES.format(name))
        return graph.node("DequantizeLinear", codes, scale, name=f"{name}.weight", axis=0)
    if weight.is_wide(grid.max_code):
        emission.wide_layers.append(name)
        if emission.has_unsigned_weights:
            return _unsigned(emission, name, weight.codes * multiplier, scale)
    if not weight.fits_four_bits:
        codes = graph.constant(weight.codes * multiplier, CODES.format(name))
    else:
        codes = graph.int4_constant(weight.codes, CODES.format(name), is_signed=True)
        if emission.form.has_byte_activations:
            codes = _widened(emission, codes, multiplier, name)
    return graph.node("DequantizeLinear", codes, scale, name=f"{name}.weight", axis=0)


def _bias(emission: Emission, name: str, weight: IntegerWeight, grid: CodeGrid, quantizer: bool) -> list[str]:
    """Name of the bias, if there is one.

    Before a pre-activation quantizer runtimes turn a float bias into int32 steps on their own; here they get them:
    steps of the integer kernel in byte forms, steps below float precision elsewhere.
    """
    graph = emission.graph
    if weight.bias_O is None:
        return []
    if not quantizer or emission.form.is_symmetric or emission.form.is_ranged:
        return [graph.constant(weight.bias_O, f"{name}.bias")]
    if emission.form.has_byte_activations:
        unit_O = bias_unit(weight, grid.scale, grid.max_code)
    else:
        unit_O = (weight.bias_O.abs() / FINEST_BIAS).clamp(min=SMALLEST_UNIT)
    steps_O = (weight.bias_O.double() / unit_O.double()).round().to(torch.int32)
    unit = graph.constant(unit_O, f"{name}.bias_unit")
    steps = graph.constant(steps_O, f"{name}.bias_steps")
    return [graph.node("DequantizeLinear", steps, unit, name=f"{name}.bias", axis=0)]


def pre_activation_quantizer(
    emission: Emission, layer: nn.Module, batch_norm: nn.BatchNorm2d | None
) -> FakeQuantizer | None:
    """The quantizer of the layer's output, if it has one that is on and the form keeps it."""
    holder = batch_norm if isinstance(batch_norm, QuantBatchNorm2d) else layer
    quantizer: FakeQuantizer | None = getattr(holder, "output_quantizer", None)
    return quantizer if quantizer is not None and quantizer.is_on and emission.form.has_pre_activation else None


def geometry(conv: nn.Conv2d) -> dict[str, Any]:
    """Attributes of the node. Raises ValueError for padding that is not zeros, or not given in pixels."""
    height, width = conv.padding if not isinstance(conv.padding, str) else (0, 0)
    if isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        raise ValueError(
            f"ONNX export needs zero padding given in pixels; got padding={conv.padding!r}, "
            f"mode {conv.padding_mode!r}. Write the padding as numbers."
        )
    return {
        "kernel_shape": list(conv.kernel_size),
        "strides": list(conv.stride),
        "pads": [height, width, height, width],
        "dilations": list(conv.dilation),
        "group": conv.groups,
    }


def is_integer(emission: Emission, conv: nn.Module) -> bool:
    """Whether this graph runs the layer on integer codes."""
    if not isinstance(conv, QuantConv2d | QuantLinear) or not emission.form.is_quantized:
        return False
    quantizers = (conv.weight_quantizer, conv.input_quantizer)
    return all(quantizer is not None and quantizer.is_on for quantizer in quantizers)


def _values_on_grid(emission: Emission, name: str, weight: IntegerWeight) -> str:
    values = weight.codes * along_axis(weight.scale_O, weight.codes, 0)
    stored = emission.graph.constant(values, f"{name}.weight")
    emission.weight_grids[stored] = WeightGrid(weight.scale_O, 4 if weight.fits_four_bits else 8)
    return stored


def _unsigned(emission: Emission, name: str, codes: Tensor, scale: str) -> str:
    """The same values from codes raised to unsigned ones."""
    graph = emission.graph
    raised = graph.constant((codes.to(torch.int16) + MIDDLE).to(torch.uint8), CODES.format(name))
    middle = graph.constant(np.full(len(codes), MIDDLE, np.uint8), ZERO_POINT.format(name))
    return graph.node("DequantizeLinear", raised, scale, middle, name=f"{name}.weight", axis=0)


def _widened(emission: Emission, codes: str, multiplier: int, name: str) -> str:
    from onnx import TensorProto

    graph = emission.graph
    if multiplier == 1:
        return graph.node("Cast", codes, name=f"{name}.weight", to=TensorProto.INT8)
    wide = graph.node("Cast", codes, name=f"{name}.weight", to=TensorProto.INT32)
    scaled = graph.node("Mul", wide, graph.scalar(multiplier, np.int32), name=f"{name}.weight")
    return graph.node("Cast", scaled, name=f"{name}.weight", to=TensorProto.INT8)


@torch.no_grad()
def _float_parameters(emission: Emission, conv: nn.Conv2d, affine: ChannelAffine | None) -> list[str]:
    name = emission.name(conv)
    weight: Tensor = conv.weight.detach()
    bias = None if conv.bias is None else conv.bias.detach()
    if affine is not None:
        weight = weight * affine.gain_C[:, None, None, None]
        bias = affine.shift_C if bias is None else bias * affine.gain_C + affine.shift_C
    parameters = [emission.graph.constant(weight, f"{name}.weight")]
    return parameters if bias is None else [*parameters, emission.graph.constant(bias, f"{name}.bias")]
