"""Operands of products of two activations: attention, and the similarity of regions and text.

Shape letters: G steps of an operand (1, or one per head).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import nn

from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import Plain
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer


class Operand(NamedTuple):
    """values of an operand, to be multiplied by `scale` (a constant that fits the product too) if there is one."""

    values: str
    scale: str | None


def operand(emission: Emission, module: nn.Module, tensor: str, rank: int) -> Operand:
    """An operand of `rank` axes after its quantizer, which stands where the detector has an Identity.

    One step: a UINT8 Q/DQ pair, which runtimes fuse into an integer product. One step per head: whole numbers as
    floats, their scales left for after the product (onnxruntime 1.32 fuses a Q/DQ pair per head, then fails to run it).
    """
    if not isinstance(module, FakeQuantizer) or not module.is_on or not emission.form.is_quantized:
        return Operand(tensor, None)
    axis = module.settings.axis
    if axis is not None and emission.form.is_ranged:
        return Operand(tensor, None)
    if axis is None:
        return Operand(emission.on_grid(module, Plain(tensor)), None)
    graph, name = emission.graph, emission.name(module)
    shape = [1] * rank
    shape[axis] = -1
    scale_G = module.scale.cpu().numpy().reshape(shape)
    zero_G = np.zeros_like(scale_G) if module.zero_point is None else module.zero_point.cpu().numpy().reshape(shape)
    low, high = module.grid.quant_min - zero_G, module.grid.quant_max - zero_G
    scale = graph.constant(scale_G, f"{name}.scale")
    steps = graph.node("Round", graph.node("Div", tensor, scale, name=name), name=name)
    raised = graph.node("Max", steps, graph.constant(low.astype(np.float32), f"{name}.low"), name=name)
    codes = graph.node("Min", raised, graph.constant(high.astype(np.float32), f"{name}.high"), name=name)
    emission.tap(module, codes, "centered")
    return Operand(codes, scale)


def product(emission: Emission, left: Operand, right: Operand, name: str) -> Operand:
    """The matrix product of two operands; scales of both wait for `scaled`."""
    values = emission.graph.node("MatMul", left.values, right.values, name=name)
    scales = [side.scale for side in (left, right) if side.scale is not None]
    if len(scales) == 2:
        return Operand(values, emission.graph.node("Mul", *scales, name=name))
    return Operand(values, scales[0] if scales else None)


def scaled(emission: Emission, result: Operand, name: str) -> str:
    """The float values of a product, or of its maximum: scales are positive, so they may come last."""
    if result.scale is None:
        return result.values
    return emission.graph.node("Mul", result.values, result.scale, name=name)
