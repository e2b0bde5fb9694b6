"""Operators on one element at a time: ELEMENTWISE, ATen operator -> who writes it."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx

from crqat_pipeline.export.onnx.traced.translation import Operator, Translation, Written, dtype_of

aten = torch.ops.aten
OF_TRUTHS: Mapping[str, str] = MappingProxyType({"Add": "Or", "Mul": "And", "Max": "Or", "Min": "And"})
"""What arithmetic on booleans is in ONNX."""


def _unary(op: str) -> Operator:
    def write(translation: Translation, node: fx.Node) -> Written:
        return translation.graph.node(op, translation.tensor(node.args[0], dtype_of(node)), name=node.name)

    return write


def _binary(op: str) -> Operator:
    def write(translation: Translation, node: fx.Node) -> Written:
        dtype = dtype_of(node)
        left, right = (translation.tensor(value, dtype) for value in node.args[:2])
        alpha = node.kwargs.get("alpha", 1)
        if alpha != 1:
            right = translation.graph.node("Mul", right, translation.tensor(alpha, dtype), name=node.name)
        kind = OF_TRUTHS.get(op, op) if dtype == torch.bool else op
        return translation.graph.node(kind, left, right, name=node.name)

    return write


def _comparison(op: str, *, is_negated: bool = False) -> Operator:
    def write(translation: Translation, node: fx.Node) -> Written:
        dtype = torch.result_type(_held(node.args[0]), _held(node.args[1]))
        left, right = (translation.tensor(value, dtype) for value in node.args[:2])
        answer = translation.graph.node(op, left, right, name=node.name)
        return translation.graph.node("Not", answer, name=node.name) if is_negated else answer

    return write


def _size(op: str) -> Operator:
    def write(translation: Translation, node: fx.Node) -> Written:
        left, right = map(translation.size, node.args[:2])
        return translation.graph.node(op, left, right, name=node.name)

    return write


def _log1p(translation: Translation, node: fx.Node) -> Written:
    raised = translation.graph.node(
        "Add", translation.tensor(node.args[0]), translation.tensor(1.0, dtype_of(node)), name=node.name
    )
    return translation.graph.node("Log", raised, name=node.name)


def _rsqrt(translation: Translation, node: fx.Node) -> Written:
    root = translation.graph.node("Sqrt", translation.tensor(node.args[0]), name=node.name)
    return translation.graph.node("Reciprocal", root, name=node.name)


def _power(translation: Translation, node: fx.Node) -> Written:
    base, exponent = translation.tensor(node.args[0], dtype_of(node)), node.args[1]
    if exponent == 0.5:
        return translation.graph.node("Sqrt", base, name=node.name)
    if exponent == 2:
        return translation.graph.node("Mul", base, base, name=node.name)
    return translation.graph.node("Pow", base, translation.tensor(exponent, dtype_of(node)), name=node.name)


def _clamp(translation: Translation, node: fx.Node) -> Written:
    dtype = dtype_of(node)
    low, high = (*node.args[1:], None, None)[:2]
    value = translation.tensor(node.args[0], dtype)
    if low is not None:
        value = translation.graph.node("Max", value, translation.tensor(low, dtype), name=node.name)
    if high is not None:
        value = translation.graph.node("Min", value, translation.tensor(high, dtype), name=node.name)
    return value


def _where(translation: Translation, node: fx.Node) -> Written:
    condition, chosen, other = node.args
    dtype = dtype_of(node)
    parts = (translation.tensor(condition), translation.tensor(chosen, dtype), translation.tensor(other, dtype))
    return translation.graph.node("Where", *parts, name=node.name)


def _leaky_relu(translation: Translation, node: fx.Node) -> Written:
    alpha = float((*node.args[1:], 0.01)[0])  # type: ignore[arg-type]
    return translation.graph.node("LeakyRelu", translation.tensor(node.args[0]), name=node.name, alpha=alpha)


def _gelu(translation: Translation, node: fx.Node) -> Written:
    kind = node.kwargs.get("approximate", "none")
    return translation.graph.node("Gelu", translation.tensor(node.args[0]), name=node.name, approximate=kind)


def _and(translation: Translation, node: fx.Node) -> Written:
    return _binary("And" if dtype_of(node) == torch.bool else "BitwiseAnd")(translation, node)


def _held(value: Any) -> Tensor:
    held: Tensor = value.meta["val"] if isinstance(value, fx.Node) else value
    return held


ELEMENTWISE: Mapping[Any, Operator] = MappingProxyType(
    {
        aten.sigmoid.default: _unary("Sigmoid"),
        aten.tanh.default: _unary("Tanh"),
        aten.exp.default: _unary("Exp"),
        aten.log.default: _unary("Log"),
        aten.log1p.default: _log1p,
        aten.sqrt.default: _unary("Sqrt"),
        aten.rsqrt.default: _rsqrt,
        aten.reciprocal.default: _unary("Reciprocal"),
        aten.relu.default: _unary("Relu"),
        aten.leaky_relu.default: _leaky_relu,
        aten.gelu.default: _gelu,
        aten.erf.default: _unary("Erf"),
        aten.neg.default: _unary("Neg"),
        aten.abs.default: _unary("Abs"),
        aten.sin.default: _unary("Sin"),
        aten.cos.default: _unary("Cos"),
        aten.logical_not.default: _unary("Not"),
        aten.add.Tensor: _binary("Add"),
        aten.sub.Tensor: _binary("Sub"),
        aten.mul.Tensor: _binary("Mul"),
        aten.div.Tensor: _binary("Div"),
        aten.maximum.default: _binary("Max"),
        aten.minimum.default: _binary("Min"),
        aten.logical_and.default: _binary("And"),
        aten.bitwise_and.Tensor: _and,
        aten.pow.Tensor_Scalar: _power,
        aten.pow.Tensor_Tensor: _binary("Pow"),
        aten.clamp.default: _clamp,
        aten.clamp_min.default: _clamp,
        aten.where.self: _where,
        **{getattr(aten.gt, kind): _comparison("Greater") for kind in ("Scalar", "Tensor")},
        **{getattr(aten.ge, kind): _comparison("GreaterOrEqual") for kind in ("Scalar", "Tensor")},
        **{getattr(aten.lt, kind): _comparison("Less") for kind in ("Scalar", "Tensor")},
        **{getattr(aten.le, kind): _comparison("LessOrEqual") for kind in ("Scalar", "Tensor")},
        **{getattr(aten.eq, kind): _comparison("Equal") for kind in ("Scalar", "Tensor")},
        **{getattr(aten.ne, kind): _comparison("Equal", is_negated=True) for kind in ("Scalar", "Tensor")},
        operator.add: _size("Add"),
        operator.sub: _size("Sub"),
        operator.mul: _size("Mul"),
        operator.floordiv: _size("Div"),
    }
)
"""Whole numbers of shapes are never negative where they are divided, so that ONNX's Div is a floor division."""
