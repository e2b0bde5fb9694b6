"""The weight of a quantized layer as whole numbers, with everything per output channel folded into its scale.

Shape letters: O output channels, I inputs of one output (input channels x kernel).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.channel_affine import ChannelAffine
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear

FINEST_MULTIPLIER = 16
LARGEST_PAIR = 2**15 - 1


@dataclass(frozen=True)
class IntegerWeight:
    """weight = codes * scale_O, plus bias_O. codes: int8 in the shape of the weight, zero point already subtracted."""

    codes: Tensor
    scale_O: Tensor
    bias_O: Tensor | None

    @property
    def fits_four_bits(self) -> bool:
        return bool(self.codes.min() >= -8) and bool(self.codes.max() <= 7)

    def multiplier(self, max_code: int) -> int:
        """The largest power of two, up to 16, by which the codes can be multiplied within int8.

        Where the codes themselves are not wide for input codes up to max_code, their multiples are not either.
        """
        largest = max(1, int(self.codes.abs().max()))
        finest = min(FINEST_MULTIPLIER, 1 << ((127 // largest).bit_length() - 1))
        if _pair(largest, max_code) > LARGEST_PAIR:
            return finest
        return min(finest, 1 << ((LARGEST_PAIR // _pair(largest, max_code)).bit_length() - 1))

    def is_wide(self, max_code: int) -> bool:
        """Whether two products of input codes up to max_code may leave 16 bits: CPUs without VNNI saturate."""
        return _pair(int(self.codes.abs().max()) * self.multiplier(max_code), max_code) > LARGEST_PAIR


def bias_unit(weight: IntegerWeight, input_scale: float, max_code: int) -> Tensor:
    """(O,) what one unit of an integer kernel's sum is worth: input scale * weight scale / multiplier."""
    return weight.scale_O / weight.multiplier(max_code) * input_scale


@torch.no_grad()
def integer_weight(layer: QuantConv2d | QuantLinear, affine: ChannelAffine | None) -> IntegerWeight:
    """Codes of the layer's weight; a following BatchNorm goes into scale and bias, negative gains into the codes.

    A channel that the BatchNorm switches off (gain 0) keeps its bias and gets codes 0.
    """
    quantizer = layer.weight_quantizer
    assert quantizer is not None
    codes = quantizer.codes(layer.weight)
    zero_point_G = quantizer.zero_point
    if zero_point_G is not None:
        codes = codes - along_axis(zero_point_G, codes, quantizer.settings.axis)
    num_channels = codes.shape[0]
    scale_O = quantizer.scale.repeat_interleave(num_channels // quantizer.scale.numel())
    bias_O = None if layer.bias is None else layer.bias.detach()
    if affine is not None:
        bias_O = affine.shift_C if bias_O is None else bias_O * affine.gain_C + affine.shift_C
        codes = codes * along_axis(affine.gain_C.sign(), codes, 0)
        scale_O = torch.where(affine.gain_C == 0, scale_O, scale_O * affine.gain_C.abs())
    return IntegerWeight(codes.to(torch.int8), scale_O, bias_O)


def _pair(largest_weight: int, max_code: int) -> int:
    """The largest sum of two products."""
    return max(1, 2 * max_code * largest_weight)
