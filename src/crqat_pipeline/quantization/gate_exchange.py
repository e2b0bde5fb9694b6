"""Quantizers before a gate instead of behind it: a layer that is linear in the gate needs no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.quantizer_plans import activation_quantizer
from crqat_pipeline.quantization.spec import QuantSpec
from crqat_pipeline.structures.quantization_contract import GatedInput, gated_input_of


class GatedBlock(NamedTuple):
    """A block of the detector and what it says of its gated input."""

    block: nn.Module
    gated: GatedInput


def gated_blocks(detector: nn.Module) -> dict[str, GatedBlock]:
    """By the full name of the layer that reads the gated maps."""
    found = {}
    for name, module in detector.named_modules():
        gated = gated_input_of(module)
        if gated is not None:
            found[f"{name}.{gated.layer}" if name else gated.layer] = GatedBlock(module, gated)
    return found


def operands_before_gates(detector: nn.Module) -> frozenset[str]:
    """Full names of the quantizers that stand before a gate for that of a layer's input."""
    return frozenset(
        f"{layer.removesuffix(found.gated.layer)}{operand}"
        for layer, found in gated_blocks(detector).items()
        for operand in found.gated.operands
        if isinstance(found.block.get_submodule(operand), FakeQuantizer)
    )


def check_exchange(detector: nn.Module, spec: QuantSpec, blocks: Mapping[str, GatedBlock]) -> None:
    """Raises ValueError for a spec that exchanges gates and a detector without any."""
    if spec.gate_exchange and not blocks:
        raise ValueError(
            "quantization.gate_exchange needs blocks with a gate, which say so by the attribute gated_input; "
            f"{type(detector).__name__} has none. Leave it out."
        )


def exchange(layer: nn.Module, found: GatedBlock, spec: QuantSpec) -> str:
    """Move the quantizer of the layer's input before the gate, in place: one for each operand, with the layer's bits.

    spec: as it holds for this layer. Returns what was done in words; "" for a layer whose input is not quantized.
    """
    if not isinstance(layer, QuantConv2d | QuantLinear) or layer.input_quantizer is None:
        return ""
    for operand in found.gated.operands:
        parent, _, child = operand.rpartition(".")
        quantizer = activation_quantizer(spec, 1, 1, operand)
        assert quantizer is not None
        setattr(found.block.get_submodule(parent), child, quantizer.to(layer.weight.device))
    layer.input_quantizer, layer.exchanged_bits = None, spec.activation_bits
    return f", input rounded before the gate: {', '.join(found.gated.operands)}"
