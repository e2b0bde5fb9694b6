"""Execute converted layers with exact integer sums: slow, and the yardstick for the simulation and for every export.

Shape letters: C output channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.quantization.affine import along_axis, dequantize, quantize
from crqat_pipeline.quantization.integer_model import AffineParameters, IntegerLayer, IntegerModel


def execute_layer(layer: IntegerLayer, x: Tensor) -> Tensor:
    """y float32 of a float input: quantize, integer sum (exact, held in float64), rescale, add the bias."""
    weight = layer.weight_codes.double() - along_axis(layer.weight.zero_point_G.double(), layer.weight_codes, 0)
    if layer.input is None:
        centered, input_scale = x.double(), x.new_ones(1).double()
    else:
        centered, input_scale = _centered_codes(layer.input, x), layer.input.scale_G.double()
    if layer.input is not None and layer.input.axis is not None:
        # one scale per input channel does not leave the sum; it is only executable as a product before it
        centered, input_scale = centered * along_axis(input_scale, centered, layer.input.axis), input_scale.new_ones(1)
    if layer.geometry is None:
        total, channel_axis = functional.linear(centered, weight), -1
    else:
        shape = layer.geometry
        total = functional.conv2d(centered, weight, None, shape.stride, shape.padding, shape.dilation, shape.groups)
        channel_axis = 1
    y = total * along_axis(layer.weight.scale_G.double() * input_scale, total, channel_axis)
    if layer.bias_C is not None:
        y = y + along_axis(layer.bias_C.double(), y, channel_axis)
    y = y.float()
    return y if layer.output is None else fake_quantize_reference(layer.output, y)


def fake_quantize_reference(parameters: AffineParameters, x: Tensor) -> Tensor:
    """x on the grid: dequantize(quantize(x))."""
    zero_point_G = parameters.zero_point_G.float()
    codes = quantize(x, parameters.scale_G, zero_point_G, parameters.grid, parameters.axis)
    return dequantize(codes, parameters.scale_G, zero_point_G, parameters.axis)


@contextmanager
def integer_execution(detector: nn.Module, model: IntegerModel) -> Iterator[None]:
    """Inside the block, the detector runs the integer form of its converted layers; folded BatchNorms do nothing."""
    replaced: list[nn.Module] = []

    def replace(name: str, forward: Callable[[Tensor], Tensor]) -> None:
        module = detector.get_submodule(name)
        module.forward = forward  # type: ignore[method-assign]
        replaced.append(module)

    try:
        for name, layer in model.layers.items():
            replace(name, _runner(layer))
            if layer.folded_batch_norm is not None:
                replace(layer.folded_batch_norm, _pass_through)
        yield
    finally:
        for module in replaced:
            module.__dict__.pop("forward", None)


def _centered_codes(parameters: AffineParameters, x: Tensor) -> Tensor:
    zero_point_G = parameters.zero_point_G.float()
    codes = quantize(x, parameters.scale_G, zero_point_G, parameters.grid, parameters.axis)
    return codes.double() - along_axis(zero_point_G.double(), codes, parameters.axis)


def _runner(layer: IntegerLayer) -> Callable[[Tensor], Tensor]:
    return lambda x: execute_layer(layer, x)


def _pass_through(x: Tensor) -> Tensor:
    return x
