"""Operators that move, copy, or make values: SHAPES, ATen operator -> who writes it."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import fx

from crqat_pipeline.export.onnx.traced.translation import (
    Operator,
    Translation,
    Written,
    dtype_of,
    rank_of,
    with_defaults,
)

aten = torch.ops.aten
TO_THE_END = 2**63 - 1


def _same(translation: Translation, node: fx.Node) -> Written:
    return translation.tensor(node.args[0], dtype_of(node))


def _size_of(translation: Translation, node: fx.Node) -> Written:
    axis = int(node.args[1])  # type: ignore[arg-type]
    start = axis % rank_of(node.args[0])  # type: ignore[arg-type]
    return translation.graph.node("Shape", translation.tensor(node.args[0]), name=node.name, start=start, end=start + 1)


def _part(translation: Translation, node: fx.Node) -> Written:
    source, index = node.args
    return translation.outputs_of(source)[index]  # type: ignore[arg-type, index]


def _view(translation: Translation, node: fx.Node) -> Written:
    shape = translation.sizes(node.args[1])  # type: ignore[arg-type]
    return translation.graph.node("Reshape", translation.tensor(node.args[0]), shape, name=node.name)


def _permute(translation: Translation, node: fx.Node) -> Written:
    rank = rank_of(node)
    order = [int(axis) % rank for axis in node.args[1]]  # type: ignore[union-attr, arg-type]
    return translation.graph.node("Transpose", translation.tensor(node.args[0]), name=node.name, perm=order)


def _unsqueeze(translation: Translation, node: fx.Node) -> Written:
    axes = translation.graph.integers(int(node.args[1]))  # type: ignore[arg-type]
    return translation.graph.node("Unsqueeze", translation.tensor(node.args[0]), axes, name=node.name)


def _squeeze(translation: Translation, node: fx.Node) -> Written:
    source, wanted = node.args
    shape = source.meta["val"].shape  # type: ignore[union-attr]
    wished = [wanted] if isinstance(wanted, int) else list(wanted)  # type: ignore[arg-type]
    axes = [axis % len(shape) for axis in wished if shape[axis] == 1]
    if not axes:
        return translation.tensor(source)
    return translation.graph.node(
        "Squeeze", translation.tensor(source), translation.graph.integers(*axes), name=node.name
    )


def _expand(translation: Translation, node: fx.Node) -> Written:
    shape = [1 if size == -1 else size for size in node.args[1]]  # type: ignore[union-attr]
    return translation.graph.node("Expand", translation.tensor(node.args[0]), translation.sizes(shape), name=node.name)


def _repeat(translation: Translation, node: fx.Node) -> Written:
    source, counts = node.args
    value, missing = translation.tensor(source), len(counts) - rank_of(source)  # type: ignore[arg-type]
    if missing:
        value = translation.graph.node("Unsqueeze", value, translation.graph.integers(*range(missing)), name=node.name)
    return translation.graph.node("Tile", value, translation.sizes(counts), name=node.name)  # type: ignore[arg-type]


def _cat(translation: Translation, node: fx.Node) -> Written:
    parts: Sequence[Any] = node.args[0]  # type: ignore[assignment]
    axis = int((*node.args[1:], 0)[0])  # type: ignore[arg-type]
    tensors = [translation.tensor(part, dtype_of(node)) for part in parts]
    return translation.graph.node("Concat", *tensors, name=node.name, axis=axis)


def _slice(translation: Translation, node: fx.Node) -> Written:
    source, axis, start, end, step = with_defaults(node, None, 0, None, None, 1)
    bounds = [translation.size(0 if start is None else start), translation.size(TO_THE_END if end is None else end)]
    others = [translation.size(axis), translation.size(step)]
    return translation.graph.node("Slice", translation.tensor(source), *bounds, *others, name=node.name)


def _select(translation: Translation, node: fx.Node) -> Written:
    source, axis, index = node.args
    place = translation.tensor(index, torch.int64)
    return translation.graph.node("Gather", translation.tensor(source), place, name=node.name, axis=axis)


def _split(translation: Translation, node: fx.Node) -> Written:
    source, sizes, axis = with_defaults(node, None, None, 0)
    return translation.graph.nodes(
        "Split",
        translation.tensor(source),
        translation.sizes(sizes),  # type: ignore[arg-type]
        name=node.name,
        num_outputs=len(sizes),  # type: ignore[arg-type]
        axis=axis,
    )


def _arange(translation: Translation, node: fx.Node) -> Written:
    start, end, step = with_defaults(node, None, None, 1)
    bounds = [translation.tensor(value, dtype_of(node)) for value in (start, end, step)]
    return translation.graph.node("Range", *bounds, name=node.name)


def _full(translation: Translation, node: fx.Node) -> Written:
    shape, value = node.args
    filling = translation.tensor(value, dtype_of(node))
    return translation.graph.node("Expand", filling, translation.sizes(shape), name=node.name)  # type: ignore[arg-type]


def _full_like(translation: Translation, node: fx.Node) -> Written:
    shape = translation.graph.node("Shape", translation.tensor(node.args[0]), name=node.name)
    return translation.graph.node("Expand", translation.tensor(node.args[1], dtype_of(node)), shape, name=node.name)


def _embedding(translation: Translation, node: fx.Node) -> Written:
    rows, index = map(translation.tensor, node.args[:2])
    return translation.graph.node("Gather", rows, index, name=node.name, axis=0)


def _gather(translation: Translation, node: fx.Node) -> Written:
    source, axis, index = node.args[:3]
    tensors = translation.tensor(source), translation.tensor(index)
    return translation.graph.node("GatherElements", *tensors, name=node.name, axis=axis)


def _rows(translation: Translation, node: fx.Node) -> Written:
    """One tensor of whole numbers along one axis."""
    source, indices = node.args
    axes = [axis for axis, index in enumerate(indices) if index is not None]  # type: ignore[arg-type]
    if len(axes) != 1 or indices[axes[0]].meta["val"].dtype == torch.bool:  # type: ignore[index, union-attr]
        raise ValueError(
            f"Traced ONNX graphs index one axis at a time, by whole numbers; got {node.name!r} with {indices}. Use "
            "gather, or torch.where in place of a mask."
        )
    index = translation.tensor(indices[axes[0]])  # type: ignore[index]
    return translation.graph.node("Gather", translation.tensor(source), index, name=node.name, axis=axes[0])


def _index_select(translation: Translation, node: fx.Node) -> Written:
    source, axis, index = node.args
    tensors = translation.tensor(source), translation.tensor(index)
    return translation.graph.node("Gather", *tensors, name=node.name, axis=axis)


def _top_k(translation: Translation, node: fx.Node) -> Written:
    source, count, axis, largest, ordered = with_defaults(node, None, None, -1, True, True)
    return translation.graph.nodes(
        "TopK",
        translation.tensor(source),
        translation.size(count),
        name=node.name,
        num_outputs=2,
        axis=axis,
        largest=int(bool(largest)),
        sorted=int(bool(ordered)),
    )


def _stable_sort(translation: Translation, node: fx.Node) -> Written:
    """TopK of all: ONNX too puts the first of equal values first."""
    source = node.args[0]
    axis = int(node.kwargs.get("dim", node.args[2] if len(node.args) > 2 else -1))  # type: ignore[arg-type]
    is_descending = node.kwargs.get("descending", node.args[3] if len(node.args) > 3 else False)
    value = translation.tensor(source)
    start = axis % rank_of(source)  # type: ignore[arg-type]
    count = translation.graph.node("Shape", value, name=node.name, start=start, end=start + 1)
    return translation.graph.nodes(
        "TopK", value, count, name=node.name, num_outputs=2, axis=axis, largest=int(bool(is_descending)), sorted=1
    )


def _pad(translation: Translation, node: fx.Node) -> Written:
    source, pads, value = with_defaults(node, None, None, 0.0)
    pairs = [(pads[at], pads[at + 1]) for at in range(0, len(pads), 2)][::-1]  # type: ignore[index, arg-type]
    pairs = [(0, 0)] * (rank_of(source) - len(pairs)) + pairs  # type: ignore[arg-type]
    sizes = translation.sizes([low for low, _ in pairs] + [high for _, high in pairs])
    filling = translation.tensor(value, dtype_of(node))
    return translation.graph.node("Pad", translation.tensor(source), sizes, filling, name=node.name)


SHAPES: Mapping[Any, Operator] = MappingProxyType(
    {
        aten.sym_size.int: _size_of,
        operator.getitem: _part,
        aten.clone.default: _same,
        aten.alias.default: _same,
        aten._to_copy.default: _same,
        aten.view.default: _view,
        aten.permute.default: _permute,
        aten.unsqueeze.default: _unsqueeze,
        aten.squeeze.dims: _squeeze,
        aten.squeeze.dim: _squeeze,
        aten.expand.default: _expand,
        aten.repeat.default: _repeat,
        aten.cat.default: _cat,
        aten.slice.Tensor: _slice,
        aten.select.int: _select,
        aten.split_with_sizes.default: _split,
        aten.arange.start_step: _arange,
        aten.full.default: _full,
        aten.full_like.default: _full_like,
        aten.embedding.default: _embedding,
        aten.gather.default: _gather,
        aten.index.Tensor: _rows,
        aten.index_select.default: _index_select,
        aten.topk.default: _top_k,
        aten.sort.stable: _stable_sort,
        aten.constant_pad_nd.default: _pad,
    }
)
