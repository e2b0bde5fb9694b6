"""Quantized layers executed on integers with exact sums: the yardstick that the simulation is held to.

Written from the definition alone, y = (sum of (input code - zero point) * (weight code - zero point)) * scales + bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear


@contextmanager
def integer_execution(detector: nn.Module) -> Iterator[list[str]]:
    """Inside the block the layers whose weight quantizer is on compute integers; their names."""
    layers = {
        name: module
        for name, module in detector.named_modules()
        if isinstance(module, QuantConv2d | QuantLinear)
        and module.weight_quantizer is not None
        and module.weight_quantizer.is_on
    }
    try:
        for layer in layers.values():
            layer.forward = partial(execute, layer)  # type: ignore[method-assign]
        yield list(layers)
    finally:
        for layer in layers.values():
            layer.__dict__.pop("forward", None)


def execute(layer: QuantConv2d | QuantLinear, x: Tensor) -> Tensor:
    """The layer's float32 output; sums of products of integers are exact in float64."""
    assert layer.weight_quantizer is not None
    weight, weight_scale = centred_codes(layer.weight_quantizer, layer.weight)
    inputs, input_scale = x.double(), torch.ones(1, dtype=torch.float64)
    if layer.input_quantizer is not None:
        inputs, input_scale = centred_codes(layer.input_quantizer, x)
    if input_scale.numel() > 1:  # a scale per input channel does not leave the sum
        inputs, input_scale = inputs * input_scale, input_scale.new_ones(1)
    scale_C = (weight_scale * input_scale.flatten()).expand(len(weight), *[1] * (weight.ndim - 1)).flatten()
    if isinstance(layer, QuantConv2d):
        geometry = layer.stride, layer.padding, layer.dilation, layer.groups
        y = functional.conv2d(inputs, weight, None, *geometry) * scale_C[:, None, None]
        y = y if layer.bias is None else y + layer.bias.double()[:, None, None]
    else:
        y = functional.linear(inputs, weight) * scale_C
        y = y if layer.bias is None else y + layer.bias.double()
    return y.float() if layer.output_quantizer is None else layer.output_quantizer(y.float())


def centred_codes(quantizer: FakeQuantizer, x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes minus zero points, and scales that broadcast over them; float64. Codes must lie on the grid."""
    codes = quantizer.codes(x)
    grid = quantizer.grid
    assert torch.equal(codes, codes.round())
    assert codes.numel() == 0 or (codes.min() >= grid.quant_min and codes.max() <= grid.quant_max)
    scale = spread(quantizer.scale, x, quantizer.settings.axis)
    zero_point_G = quantizer.zero_point
    zero_point = torch.zeros_like(scale) if zero_point_G is None else spread(zero_point_G, x, quantizer.settings.axis)
    return codes.double() - zero_point, scale


def spread(values_G: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """Values of the steps, each repeated over its channels, in a shape that broadcasts over x."""
    if axis is None:
        return values_G.double().reshape([1] * x.ndim)
    repeated = values_G.double().repeat_interleave(x.shape[axis] // values_G.numel())
    return repeated.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
