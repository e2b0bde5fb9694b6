"""Linear layers and LayerNorm on rows of text.

Shape letters: X images or 1, K prompts, D features.
"""

from __future__ import annotations

from torch import nn

from crqat_pipeline.export.integer_weight import integer_weight
from crqat_pipeline.export.onnx.code_grid import grid_of
from crqat_pipeline.export.onnx.convolution import integer_values, is_integer, pre_activation_quantizer
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import Plain
from crqat_pipeline.quantization.layers import QuantLinear


def linear(emission: Emission, layer: nn.Linear, rows: str) -> str:
    """rows (…, D) times the transposed weight, plus bias."""
    graph, name = emission.graph, emission.name(layer)
    if not is_integer(emission, layer):
        weight = graph.constant(layer.weight.detach().T.contiguous(), f"{name}.weight")
        product = graph.node("MatMul", rows, weight, name=name)
        return product if layer.bias is None else graph.node("Add", product, _bias(emission, layer), name=name)
    assert isinstance(layer, QuantLinear)
    assert layer.input_quantizer is not None
    x = emission.on_grid(layer.input_quantizer, Plain(rows))
    integers = integer_weight(layer, None)
    transposed = graph.node(
        "Transpose", integer_values(emission, name, integers, grid_of(layer.input_quantizer)), name=name, perm=[1, 0]
    )
    y = graph.node("MatMul", x, transposed, name=name)
    if integers.bias_O is not None:
        y = graph.node("Add", y, graph.constant(integers.bias_O, f"{name}.bias"), name=name)
    quantizer = pre_activation_quantizer(emission, layer, None)
    return y if quantizer is None else emission.on_grid(quantizer, Plain(y))


def layer_norm(emission: Emission, layer: nn.LayerNorm, rows: str) -> str:
    graph, name = emission.graph, emission.name(layer)
    gain, shift = (
        graph.constant(tensor.detach(), f"{name}.{label}")
        for label, tensor in (("weight", layer.weight), ("bias", layer.bias))
    )
    axis = -len(layer.normalized_shape)
    return graph.node("LayerNormalization", rows, gain, shift, name=name, axis=axis, epsilon=layer.eps)


def sequence(emission: Emission, block: nn.Sequential, value: object) -> object:
    """One module after the other."""
    for module in block:
        value = emission.emit(module, value)
    return value


def _bias(emission: Emission, layer: nn.Linear) -> str:
    return emission.graph.constant(layer.bias.detach(), f"{emission.name(layer)}.bias")
