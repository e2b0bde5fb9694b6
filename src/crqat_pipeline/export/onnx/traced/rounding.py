"""Quantizers of a traced graph: weights as stored integers, everything else by a Q/DQ pair.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

import operator
from functools import partial

import torch
from torch import Tensor, fx

from crqat_pipeline.export.integer_weight import integer_weight
from crqat_pipeline.export.onnx.code_grid import CodeGrid, grid_of
from crqat_pipeline.export.onnx.convolution import integer_values
from crqat_pipeline.export.onnx.feature_map import Plain
from crqat_pipeline.export.onnx.traced.marks import MARK
from crqat_pipeline.export.onnx.traced.translation import Translation, Written, rank_of
from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear

aten = torch.ops.aten
POOL = aten.max_pool2d_with_indices.default
MOVES = frozenset(
    {
        operator.getitem,
        aten.alias.default,
        aten.clone.default,
        aten.permute.default,
        aten.slice.Tensor,
        aten.squeeze.dim,
        aten.squeeze.dims,
        aten.unsqueeze.default,
        aten.view.default,
    }
)
FOUR_BITS = 15
"""Largest code of as many bits."""
WIDEST = CodeGrid(1.0, 0, 255)


def rounded(translation: Translation, node: fx.Node) -> Written:
    """The values after the quantizer that the mark names."""
    source, name = node.args
    assert isinstance(source, fx.Node)
    assert isinstance(name, str)
    emission, (layer_name, _, role) = translation.emission, name.rpartition(".")
    layer = emission.module(layer_name)
    if role == "weight_quantizer" and isinstance(layer, QuantConv2d | QuantLinear):
        write = partial(integer_values, emission, layer_name, integer_weight(layer, None), _input_grid(layer))
        return translation.once(name, write)
    quantizer = emission.module(name)
    assert isinstance(quantizer, FakeQuantizer)
    if quantizer.settings.axis is not None or (grid_of(quantizer).max_code <= FOUR_BITS and _is_beside_a_pool(node)):
        return _as_floats(translation, node, quantizer, translation.tensor(source), name)
    return emission.on_grid(quantizer, Plain(translation.tensor(source)), _call(node))


def _input_grid(layer: QuantConv2d | QuantLinear) -> CodeGrid:
    quantizer = layer.input_quantizer
    has_one_step = quantizer is not None and quantizer.is_on and quantizer.settings.axis is None
    return grid_of(quantizer) if has_one_step and quantizer is not None else WIDEST


def _call(node: fx.Node) -> int:
    """How often the forward pass called the same quantizer before."""
    same = [other for other in node.graph.nodes if other.target == MARK and other.args[1] == node.args[1]]
    return same.index(node)


def _is_beside_a_pool(node: fx.Node) -> bool:
    """Whether a maximum over cells comes before or after, with nothing but moves between.

    onnxruntime 1.32 moves a Q/DQ pair over both, and then refuses a MaxPool of 4-bit integers.
    """
    before, after = [node.all_input_nodes[0]], list(node.users)
    while before:
        source = before.pop()
        if source.target == POOL:
            return True
        before += source.all_input_nodes[:1] if source.target in MOVES else []
    while after:
        user = after.pop()
        if user.target == POOL:
            return True
        after += list(user.users) if user.target in MOVES else []
    return False


def _as_floats(translation: Translation, node: fx.Node, quantizer: FakeQuantizer, tensor: str, name: str) -> str:
    """Whole numbers as floats times their scale: onnxruntime 1.32 fuses a Q/DQ pair per head, then fails to run it."""
    graph, low, high = translation.graph, quantizer.grid.quant_min, quantizer.grid.quant_max
    zero_point_G = quantizer.zero_point
    scale = _shaped(node, quantizer, quantizer.scale)
    zero = _shaped(node, quantizer, torch.zeros_like(quantizer.scale) if zero_point_G is None else zero_point_G)
    scale_name = graph.constant(scale, f"{name}.scale")
    steps = graph.node("Round", graph.node("Div", tensor, scale_name, name=name), name=name)
    raised = graph.node("Max", steps, graph.constant(low - zero, f"{name}.low"), name=name)
    codes = graph.node("Min", raised, graph.constant(high - zero, f"{name}.high"), name=name)
    translation.emission.tap(quantizer, codes, "centered", _call(node))
    return graph.node("Mul", codes, scale_name, name=name)


def _shaped(node: fx.Node, quantizer: FakeQuantizer, values_G: Tensor) -> Tensor:
    """(G,) in a shape that fits the tensor; a step per group is repeated, a single one is (1,)."""
    axis = quantizer.settings.axis
    if axis is None:
        return values_G.reshape(1).float()
    shape = [1] * rank_of(node)
    size = node.meta["val"].shape[axis]
    shape[axis] = size if isinstance(size, int) else values_G.numel()
    return along_axis(values_G, torch.empty(shape, device="meta"), axis).float()
