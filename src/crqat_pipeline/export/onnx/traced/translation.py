"""One traced graph being written: which node of it is which tensor of the ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, fx

from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.traced.fixed import FixedValues, fixed_nodes
from crqat_pipeline.export.onnx.traced.tracing import Trace

ELEMENT_TYPES: Mapping[torch.dtype, tuple[int, Any]] = {
    torch.float32: (1, np.float32),
    torch.uint8: (2, np.uint8),
    torch.int32: (6, np.int32),
    torch.int64: (7, np.int64),
    torch.bool: (9, np.bool_),
    torch.float64: (11, np.float64),
}
"""ONNX's number of an element type and numpy's name of it."""

Written: TypeAlias = str | list[str]
Operator: TypeAlias = Callable[["Translation", fx.Node], Written]


class Translation:
    """Nodes that are written become names of tensors; whole numbers of the trace are int64 tensors of one element."""

    def __init__(self, emission: Emission, traced: Trace, images: str, text: str) -> None:
        self.emission, self.graph, self._traced = emission, emission.graph, traced
        self._fixed = FixedValues(traced.graph, traced.stored)
        self._written: dict[fx.Node, Written] = {}
        self._shared: dict[str, str] = {}
        self._inputs = {traced.images: images, traced.text: text}

    def write(self, operators: Mapping[Any, Operator]) -> list[str]:
        """Write what the outputs need, and name them in their order. KeyError for an operator that is not there."""
        for node in operators_to_write(self._traced):
            self._written[node] = operators[node.target](self, node)
        return [self.tensor(node) for node in self._traced.graph.output_node().args[0]]  # type: ignore[union-attr]

    def once(self, key: str, write: Callable[[], str]) -> str:
        """A tensor that several nodes read, as the weight of a layer that is called more than once."""
        if key not in self._shared:
            self._shared[key] = write()
        return self._shared[key]

    def outputs_of(self, node: fx.Node) -> Written:
        """The names of a node with several outputs."""
        return self._written[node]

    def tensor(self, value: Any, dtype: torch.dtype | None = None) -> str:
        """The tensor of a node or number, cast if it is of another type."""
        if not isinstance(value, fx.Node):
            return self.graph.number(value, _numpy(dtype or _type_of_number(value)))
        held = value.meta["val"]
        if not isinstance(held, Tensor):
            scalar = self.graph.node("Squeeze", self.size(value), self.graph.integers(0), name=value.name)
            return scalar if dtype in (None, torch.int64) else self.cast(scalar, dtype, value.name)
        name = self._name(value)
        return name if dtype in (None, held.dtype) else self.cast(name, dtype, value.name)

    def cast(self, tensor: str, dtype: torch.dtype | None, name: str) -> str:
        assert dtype is not None
        return self.graph.node("Cast", tensor, name=name, to=ELEMENT_TYPES[dtype][0])

    def stored(self, node: fx.Node) -> Tensor | None:
        """The tensor of a node that depends on no input, None for the others."""
        return self._fixed.of(node) if node in self._fixed else None

    def size(self, value: Any) -> str:
        """A whole number, fixed or computed, as an int64 tensor of one element."""
        return self._name(value) if isinstance(value, fx.Node) else self.graph.integers(int(value))

    def sizes(self, values: Sequence[Any]) -> str:
        """A shape as a 1-d int64 tensor."""
        if all(not isinstance(value, fx.Node) for value in values):
            return self.graph.integers(*map(int, values))
        return self.graph.node("Concat", *map(self.size, values), name="shape", axis=0)

    def _name(self, node: fx.Node) -> str:
        if node not in self._written:
            self._written[node] = self._input(node)
        written = self._written[node]
        assert isinstance(written, str)
        return written

    def _input(self, node: fx.Node) -> str:
        if node.name in self._inputs:
            return self._inputs[node.name]
        stored: Tensor = self._fixed.of(node)
        if stored.ndim == 0:
            return self.graph.number(stored.item(), _numpy(stored.dtype))
        return self.graph.constant(stored, node.name)


def operators_to_write(traced: Trace) -> list[fx.Node]:
    """In their order: what the outputs are computed from, but for what depends on no input."""
    needed, fixed = _live_nodes(traced.graph), fixed_nodes(traced.graph, traced.stored)
    return [node for node in traced.graph.nodes if node.op == "call_function" and node in needed and node not in fixed]


def _live_nodes(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that the outputs are computed from; checks of sizes are not."""
    waiting = [graph.output_node()]
    found = set(waiting)
    while waiting:
        for node in waiting.pop().all_input_nodes:
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found


def dtype_of(node: fx.Node) -> torch.dtype:
    """Of what the node computes."""
    dtype: torch.dtype = node.meta["val"].dtype
    return dtype


def with_defaults(node: fx.Node, *defaults: Any) -> tuple[Any, ...]:
    """The node's arguments, those at the end that it leaves out as given here."""
    return (*node.args, *defaults[len(node.args) :])


def rank_of(node: fx.Node) -> int:
    return int(node.meta["val"].ndim)


def _numpy(dtype: torch.dtype) -> Any:
    return ELEMENT_TYPES[dtype][1]


def _type_of_number(value: float) -> torch.dtype:
    return torch.float32 if isinstance(value, float) else torch.int64
