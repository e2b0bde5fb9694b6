"""Operators that sum, multiply, or normalize over axes: LAYERS, ATen operator -> who writes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import fx

from crqat_pipeline.export.onnx.convolution import FINEST_BIAS, SMALLEST_UNIT
from crqat_pipeline.export.onnx.traced.marks import MARK
from crqat_pipeline.export.onnx.traced.translation import (
    Operator,
    Translation,
    Written,
    dtype_of,
    rank_of,
    with_defaults,
)

aten = torch.ops.aten


def _convolution(translation: Translation, node: fx.Node) -> Written:
    source, weight, bias, stride, padding, dilation, is_transposed, _, groups = with_defaults(node, *[None] * 9)
    if is_transposed:
        raise ValueError(
            f"Traced ONNX graphs hold no transposed convolutions; got {node.name!r}. Add emitters "
            "(docs/formats/onnx.md), or upsample by interpolation."
        )
    graph = translation.graph
    inputs = [translation.tensor(source), translation.tensor(weight)]
    is_apart = _is_stored_as_integers(weight)
    if bias is not None and not is_apart:
        inputs.append(translation.tensor(bias))
    pads = list(padding)  # type: ignore[arg-type]
    attributes = {"strides": list(stride), "pads": pads * 2, "dilations": list(dilation), "group": groups}  # type: ignore[arg-type]
    result = graph.node("Conv", *inputs, name=node.name, **attributes)
    if bias is None or not is_apart:
        return result
    axes = graph.integers(*range(1, rank_of(node) - 1))
    raised = graph.node("Unsqueeze", _fine_bias(translation, bias), axes, name=node.name)
    return graph.node("Add", result, raised, name=node.name)


def _product(translation: Translation, node: fx.Node) -> Written:
    left, right = map(translation.tensor, node.args[:2])
    return translation.graph.node("MatMul", left, right, name=node.name)


def _sum_and_product(translation: Translation, node: fx.Node) -> Written:
    bias, left, right = node.args[:3]
    product = translation.graph.node("MatMul", translation.tensor(left), translation.tensor(right), name=node.name)
    added = _fine_bias(translation, bias) if _is_stored_as_integers(right) else translation.tensor(bias)
    return translation.graph.node("Add", product, added, name=node.name)


def _is_stored_as_integers(weight: Any) -> bool:
    """Whether a weight comes from a quantizer, as it is or transposed."""
    while isinstance(weight, fx.Node) and weight.target == aten.permute.default:
        weight = weight.args[0]
    return isinstance(weight, fx.Node) and weight.target == MARK


def _fine_bias(translation: Translation, bias: Any) -> str:
    """The bias beside an integer weight, in steps below float precision.

    A float bias would be rounded by onnxruntime to whole steps of the integer product, which 4 bits make coarse.
    """
    graph, values_O = translation.graph, translation.stored(bias)
    if values_O is None:
        return translation.tensor(bias)
    unit_O = (values_O.detach().abs() / FINEST_BIAS).clamp(min=SMALLEST_UNIT)
    steps_O = (values_O.detach().double() / unit_O.double()).round().to(torch.int32)
    inputs = graph.constant(steps_O, f"{bias.name}.steps"), graph.constant(unit_O, f"{bias.name}.unit")
    return graph.node("DequantizeLinear", *inputs, name=bias.name, axis=0)


def _batch_norm(translation: Translation, node: fx.Node) -> Written:
    source, weight, bias, mean, variance, _, epsilon = node.args
    centers = translation.stored(mean)  # type: ignore[arg-type]
    assert centers is not None
    size = len(centers)
    inputs = [translation.tensor(source), _or_ones(translation, weight, size), _or_ones(translation, bias, size, 0)]
    inputs += [translation.tensor(mean), translation.tensor(variance)]
    return [translation.graph.node("BatchNormalization", *inputs, name=node.name, epsilon=epsilon)]


def _layer_norm(translation: Translation, node: fx.Node) -> Written:
    source, shape, weight, bias, epsilon = node.args
    sizes = [int(side) for side in shape]  # type: ignore[union-attr, arg-type]
    inputs = [translation.tensor(source), _or_ones(translation, weight, sizes), _or_ones(translation, bias, sizes, 0)]
    return [translation.graph.node("LayerNormalization", *inputs, name=node.name, axis=-len(sizes), epsilon=epsilon)]


def _or_ones(translation: Translation, value: Any, shape: Any, filling: float = 1) -> str:
    if value is not None:
        return translation.tensor(value)
    key = f"filled/{shape}/{filling}"
    return translation.graph.once_constant(key, np.full(shape, filling, np.float32))


def _softmax(translation: Translation, node: fx.Node) -> Written:
    return translation.graph.node("Softmax", translation.tensor(node.args[0]), name=node.name, axis=node.args[1])


def _reduction(op: str) -> Operator:
    def write(translation: Translation, node: fx.Node) -> Written:
        source, axes, keeps = with_defaults(node, None, [], False)
        inputs = [translation.tensor(source, dtype_of(node))]
        if axes:
            inputs.append(translation.graph.integers(*axes))  # type: ignore[misc]
        return translation.graph.node(op, *inputs, name=node.name, keepdims=int(bool(keeps)))

    return write


def _vector_norm(translation: Translation, node: fx.Node) -> Written:
    """Of order 2, which some releases of PyTorch leave whole and others take apart."""
    source, order, axes, keeps = with_defaults(node, None, 2, [], False)
    if order != 2:
        raise ValueError(f"Norms of order 2 are written only; got order {order}. Write it as powers and a sum.")
    inputs = [translation.tensor(source), *([translation.graph.integers(*axes)] if axes else [])]  # type: ignore[misc]
    return translation.graph.node("ReduceL2", *inputs, name=node.name, keepdims=int(bool(keeps)))


def _mean_of_all(translation: Translation, node: fx.Node) -> Written:
    return translation.graph.node("ReduceMean", translation.tensor(node.args[0]), name=node.name, keepdims=0)


def _max_pool(translation: Translation, node: fx.Node) -> Written:
    source, kernel, stride, padding, dilation, is_ceil = with_defaults(node, None, None, [], [0, 0], [1, 1], False)
    attributes: dict[str, Any] = {
        "kernel_shape": _pair(kernel),
        "strides": _pair(stride or kernel),
        "pads": _pair(padding) * 2,
        "dilations": _pair(dilation),
        "ceil_mode": int(bool(is_ceil)),
    }
    return [translation.graph.node("MaxPool", translation.tensor(source), name=node.name, **attributes)]


def _pair(value: Any) -> list[int]:
    sides = [value] if isinstance(value, int) else list(value)
    return sides if len(sides) == 2 else sides * 2


LAYERS: Mapping[Any, Operator] = MappingProxyType(
    {
        aten.convolution.default: _convolution,
        aten.mm.default: _product,
        aten.bmm.default: _product,
        aten.addmm.default: _sum_and_product,
        aten._native_batch_norm_legit_no_training.default: _batch_norm,
        aten.native_layer_norm.default: _layer_norm,
        aten._softmax.default: _softmax,
        aten.sum.dim_IntList: _reduction("ReduceSum"),
        aten.linalg_vector_norm.default: _vector_norm,
        aten.mean.default: _mean_of_all,
        aten.mean.dim: _reduction("ReduceMean"),
        aten.amax.default: _reduction("ReduceMax"),
        aten.amin.default: _reduction("ReduceMin"),
        aten.max_pool2d_with_indices.default: _max_pool,
    }
)
