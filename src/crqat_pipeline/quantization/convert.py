"""From a calibrated or trained detector to its integer form, BatchNorm folded exactly.

Shape letters: C output channels, G steps of a tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.batch_norm import gain_and_shift
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.integer_model import AffineParameters, ConvGeometry, IntegerLayer, IntegerModel
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLayer, QuantLinear
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.structures.quantization_contract import product_operands_of


def convert(detector: nn.Module) -> IntegerModel:
    """The integer form of everything that is switched on; the rest stays as float tensors.

    Raises ValueError if nothing is on, if a quantizer that is on was not calibrated, or if a negative BatchNorm gain
    meets a weight code that cannot be negated.
    """
    check_ready(detector)
    layers: dict[str, IntegerLayer] = {}
    operands: dict[str, AffineParameters] = {}
    gone: set[str] = set()
    for name, module in detector.named_modules():
        if isinstance(module, QuantConv2d | QuantLinear) and _is_on(module.weight_quantizer):
            layers[name] = _layer(detector, name, module)
            gone.update((f"{name}.weight", f"{name}.bias"))
            if module.batch_norm is not None:
                folded = detector.get_submodule(module.batch_norm)
                gone.update(f"{module.batch_norm}.{key}" for key in folded.state_dict())
        elif isinstance(module, QuantConv2d | QuantLinear) and _is_on(module.input_quantizer):
            raise ValueError(
                f"A layer with a quantized input and a full-precision weight has no integer form; got {name!r}. "
                "Set weight_bits too, or add the layer to keep_full_precision."
            )
        elif product_operands_of(module) is not None:
            for child_name, child in module.named_children():
                if isinstance(child, FakeQuantizer) and child.is_on:
                    operands[f"{name}.{child_name}"] = affine_parameters(child)
    gone.update(f"{name}.{key}" for name, quantizer in quantizers(detector) for key in quantizer.state_dict())
    state = detector.state_dict()
    floats = {name: tensor.detach().clone() for name, tensor in state.items() if name not in gone}
    return IntegerModel(layers, operands, floats)


def affine_parameters(quantizer: FakeQuantizer) -> AffineParameters:
    """The grid, scale and integer zero point that a quantizer uses."""
    zero_point_G = quantizer.zero_point
    if zero_point_G is None:
        zero_point_G = torch.zeros_like(quantizer.scale)
    return AffineParameters(
        quantizer.grid, quantizer.scale.float().clone(), zero_point_G.to(torch.int32), quantizer.settings.axis
    )


def check_ready(detector: nn.Module) -> None:
    """Raises ValueError unless some quantizers are on and all of these are calibrated."""
    switched = [(name, quantizer) for name, quantizer in quantizers(detector) if quantizer.is_on]
    if not switched:
        raise ValueError("No quantizer is switched on: nothing to convert or measure. Call set_quantized first.")
    missing = [name for name, quantizer in switched if not quantizer.is_ready]
    if missing:
        raise ValueError(
            f"{len(missing)} quantizers are on but not calibrated, first {missing[0]!r}. Call calibrate, or load a "
            "state dict of a calibrated detector."
        )


def _layer(detector: nn.Module, name: str, layer: QuantLayer) -> IntegerLayer:
    quantizer = layer.weight_quantizer
    assert quantizer is not None
    codes = quantizer.codes(layer.weight)
    channels = layer.weight.shape[0]
    scale_C = along_axis(quantizer.scale, layer.weight, 0).reshape(-1).expand(channels).double()
    zero_point_G = quantizer.zero_point
    zero_C = torch.zeros_like(scale_C)
    if zero_point_G is not None:
        zero_C = along_axis(zero_point_G, layer.weight, 0).reshape(-1).expand(channels).double()
    bias_C = None if layer.bias is None else layer.bias.detach().double()
    output = layer.output_quantizer
    if layer.batch_norm is not None:
        batch_norm = detector.get_submodule(layer.batch_norm)
        assert isinstance(batch_norm, nn.BatchNorm2d)
        gain_C, shift_C = gain_and_shift(batch_norm)
        bias_C = shift_C if bias_C is None else shift_C + gain_C * bias_C
        codes, zero_C, scale_C = _scaled(name, codes, zero_C, scale_C, gain_C, quantizer.grid)
        output = getattr(batch_norm, "output_quantizer", None)
    grid = quantizer.grid
    return IntegerLayer(
        kind="convolution" if isinstance(layer, QuantConv2d) else "linear",
        weight_codes=codes.to(torch.int8 if grid.is_symmetric else torch.uint8),
        weight=AffineParameters(grid, scale_C.float(), zero_C.to(torch.int32), 0),
        bias_C=None if bias_C is None else bias_C.float(),
        input=_if_on(layer.input_quantizer),
        output=_if_on(output),
        geometry=_geometry(name, layer) if isinstance(layer, QuantConv2d) else None,
        folded_batch_norm=layer.batch_norm,
    )


def _scaled(
    name: str, codes: Tensor, zero_C: Tensor, scale_C: Tensor, gain_C: Tensor, grid: IntegerGrid
) -> tuple[Tensor, Tensor, Tensor]:
    """Fold a gain of any sign into codes, zero points and positive scales."""
    is_negative_C = gain_C < 0
    mirror = grid.quant_min + grid.quant_max if not grid.is_symmetric else 0
    is_negative = along_axis(is_negative_C, codes, 0)
    negated = torch.where(is_negative, mirror - codes, codes)
    if bool((negated > grid.quant_max).any()):
        channels = (negated > grid.quant_max).flatten(1).any(1).nonzero().flatten().tolist()
        raise ValueError(
            f"A negative BatchNorm gain negates the weight codes of its channel, and {-grid.quant_min} does not fit "
            f"{grid.bits} bits; got code {grid.quant_min} in channels {channels[:5]} of {name!r}. "
            "Train with narrow_weight_range=true."
        )
    zero_C = torch.where(is_negative_C, mirror - zero_C, zero_C)
    is_dead_C = gain_C == 0  # a zero gain leaves the shift alone: codes at their zero point, scale kept positive
    negated = torch.where(along_axis(is_dead_C, codes, 0), along_axis(zero_C, codes, 0).to(codes), negated)
    return negated, zero_C, torch.where(is_dead_C, scale_C, scale_C * gain_C.abs())


def _geometry(name: str, conv: QuantConv2d) -> ConvGeometry:
    if isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        raise ValueError(
            f"An integer convolution needs explicit zero padding; got padding={conv.padding!r}, "
            f"padding_mode={conv.padding_mode!r} in {name!r}. Add it to keep_full_precision."
        )
    return ConvGeometry(_pair(conv.stride), _pair(conv.padding), _pair(conv.dilation), conv.groups)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def _if_on(quantizer: FakeQuantizer | None) -> AffineParameters | None:
    return affine_parameters(quantizer) if quantizer is not None and quantizer.is_on else None


def _is_on(quantizer: FakeQuantizer | None) -> bool:
    return quantizer is not None and quantizer.is_on
