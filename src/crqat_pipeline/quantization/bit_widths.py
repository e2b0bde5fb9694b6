"""Bits of the operands, and bytes of the parameters, of one layer or product of a detector."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear

FLOAT_BITS = 32
_PARAMETER_BYTES = 4


def operand_bits(module: nn.Module) -> tuple[int, int]:
    """(weight or first operand, activation or second operand); 32 stands for full precision."""
    if isinstance(module, QuantConv2d | QuantLinear):
        return _bits(module.weight_quantizer), module.exchanged_bits or _bits(module.input_quantizer)
    bits = max((child.grid.bits for child in module.children() if isinstance(child, FakeQuantizer)), default=FLOAT_BITS)
    return bits, bits


def stored_bytes(module: nn.Module, num_steps: int | None) -> float:
    """Bytes of what the module itself stores: codes of a quantized weight, float32 for everything else.

    num_steps: of a fake quantizer, which stores a step each, and a zero point each if it is asymmetric.
    """
    if isinstance(module, FakeQuantizer):
        return float((num_steps or 1) * _PARAMETER_BYTES * (1 if module.grid.is_symmetric else 2))
    return parameter_bytes(module, operand_bits(module)[0] if _is_quant(module) else FLOAT_BITS)


def parameter_bytes(module: nn.Module, weight_bits: int) -> float:
    """Bytes of the module's own parameters: its weight at these bits, everything else in float32."""
    size = 0.0
    for name, parameter in module.named_parameters(recurse=False):
        size += parameter.numel() * (weight_bits if name == "weight" else FLOAT_BITS) / 8
    return size


def steps_of(quantizer: FakeQuantizer, input_shape: Sequence[int] | None) -> int:
    """Number of steps; one per head of the operand where only the data tells."""
    if quantizer.num_steps is not None:
        return quantizer.num_steps
    axis = quantizer.settings.axis
    return 1 if axis is None or input_shape is None else input_shape[axis]


def _is_quant(module: nn.Module) -> bool:
    return isinstance(module, QuantConv2d | QuantLinear)


def _bits(quantizer: FakeQuantizer | None) -> int:
    return FLOAT_BITS if quantizer is None else quantizer.grid.bits
