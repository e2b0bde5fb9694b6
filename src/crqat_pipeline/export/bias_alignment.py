"""Biases that integer kernels can hold exactly.

Shape letters: C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crqat_pipeline.export.integer_weight import IntegerWeight, bias_unit, integer_weight
from crqat_pipeline.quantization.channel_affine import affine_of
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantBatchNorm2d, QuantConv2d


@torch.no_grad()
def align_biases(detector: nn.Module, *, is_coarse: bool = False) -> int:
    """Move the biases of layers with a pre-activation quantizer to whole units of the integer sum, in place.

    An integer convolution adds its bias as a whole number of (input scale * weight scale / multiplier). A student whose
    biases are such numbers is reproduced code for code; the move is at most half a unit, far below one step of the
    quantizer that follows. is_coarse: for kernels that know no multiplier. Call it
    when training is over, before the student is evaluated and exported.
    Returns the number of layers that were aligned.
    """
    modules = dict(detector.named_modules())
    count = 0
    for layer in modules.values():
        if not isinstance(layer, QuantConv2d) or layer.weight_quantizer is None or layer.input_quantizer is None:
            continue
        if not (layer.weight_quantizer.is_on and layer.input_quantizer.is_on):
            continue
        norm = modules[layer.batch_norm] if layer.batch_norm else None
        if isinstance(norm, QuantBatchNorm2d):
            affine = affine_of(norm)
            unit_C = _unit(integer_weight(layer, affine), layer.input_quantizer, is_coarse)
            norm.bias.add_((affine.shift_C / unit_C).round() * unit_C - affine.shift_C)
        elif layer.output_quantizer is not None and layer.bias is not None:
            unit_C = _unit(integer_weight(layer, None), layer.input_quantizer, is_coarse)
            layer.bias.copy_((layer.bias / unit_C).round() * unit_C)
        else:
            continue
        count += 1
    return count


def _unit(weight: IntegerWeight, quantizer: FakeQuantizer, is_coarse: bool) -> Tensor:
    scale, grid = float(quantizer.scale), quantizer.grid
    return weight.scale_O * scale if is_coarse else bias_unit(weight, scale, grid.quant_max - grid.quant_min)
