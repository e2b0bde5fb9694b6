"""What a traced graph computes from no input: computed once, when the graph is written, and stored.

With a fixed size of image these are anchors, position embeddings and the masks of attention windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from crqat_pipeline.export.onnx.traced.marks import MARK

LARGEST_BYTES = 1 << 20
"""Results above it that are larger than what they are made of stay operators: a file need not store them."""


def fixed_nodes(graph: fx.Graph, stored: Mapping[str, Tensor]) -> frozenset[fx.Node]:
    """Operators that depend on stored tensors and numbers alone; quantizers and what comes after them never do."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op != "call_function" or node.target == MARK or _is_random(node):
            continue
        sources = node.all_input_nodes
        if all(source in found or source.name in stored for source in sources) and not _spreads(node):
            found.add(node)
    return frozenset(found)


class FixedValues:
    """Values of fixed nodes and stored tensors, computed when they are asked for."""

    def __init__(self, graph: fx.Graph, stored: Mapping[str, Tensor]) -> None:
        self._stored, self._fixed = stored, fixed_nodes(graph, stored)
        self._values: dict[fx.Node, Any] = {}

    def __contains__(self, node: fx.Node) -> bool:
        return node in self._fixed or node.name in self._stored

    def of(self, node: fx.Node) -> Any:
        """A tensor, or several of a node with several outputs. KeyError for a node that depends on an input."""
        if node not in self._fixed:
            return self._stored[node.name]
        if node not in self._values:
            args, kwargs = fx.map_arg((node.args, node.kwargs), self.of)
            assert callable(node.target)
            self._values[node] = node.target(*args, **kwargs)
        return self._values[node]


def _is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _spreads(node: fx.Node) -> bool:
    size = _num_bytes(node)
    return size > LARGEST_BYTES and size > sum(map(_num_bytes, node.all_input_nodes))


def _num_bytes(node: fx.Node) -> int:
    held = node.meta.get("val")
    values = held if isinstance(held, list | tuple) else [held]
    return sum(int(value.numel()) * value.element_size() for value in values if isinstance(value, Tensor))
