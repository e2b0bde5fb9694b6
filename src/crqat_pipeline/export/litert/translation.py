"""One float graph with ranges becoming a LiteRT graph: which tensor is where, in which layout, as floats or codes.

Maps of ONNX have their channels at axis 1, those of LiteRT last. A value remembers which it is; what is only moved
(concatenated, pooled, enlarged) is rounded before, so that bytes are moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crqat_pipeline.export.litert.flatbuffer import FlatModel
from crqat_pipeline.export.onnx.code_grid import CodeGrid
from crqat_pipeline.export.vendor.reading import GraphReading

if TYPE_CHECKING:
    from onnx import NodeProto

MOVES = ("Concat", "MaxPool", "Resize")
BYTE_MAX_CODE = 255


class Value(NamedTuple):
    """A tensor of the file. is_last: axis 1 of the ONNX tensor lies last."""

    tensor: int
    is_last: bool


Mover = Callable[["Translation", "NodeProto", Sequence[Value], "CodeGrid | None"], Value]
Writer = Callable[["Translation", "NodeProto"], None]


class Translation:
    """reading: the graph. file: what is written so far. convolution, movers: who writes what is asked for late.

    has_int4_weights: codes of four bits are stored as such, not as bytes.
    """

    def __init__(
        self, reading: GraphReading, convolution: Mover, movers: Mapping[str, Mover], *, has_int4_weights: bool = False
    ) -> None:
        self.reading, self.file, self.has_int4_weights = reading, FlatModel(), has_int4_weights
        self._convolution, self._movers = convolution, movers
        self._floats: dict[str, Value] = {}
        self._codes: dict[tuple[str, CodeGrid], Value] = {}
        self._late: dict[str, NodeProto] = {}
        self.num_integer_convolutions = self.num_float_convolutions = 0

    def put(self, name: str, value: Value) -> None:
        """A tensor of the ONNX graph that is computed now."""
        self._floats[name] = value

    def put_late(self, node: NodeProto) -> None:
        """A node that is written when somebody asks for its values, in the form that is asked for."""
        self._late[node.output[0]] = node

    def floats(self, name: str) -> Value:
        """A computed tensor as float32."""
        if name not in self._floats:
            node = self._late[name]
            if name in self.reading.grids:
                value = self._dequantized(self.codes(name), name)
            elif node.op_type == "Conv":
                value = self._convolution(self, node, [], None)
            else:
                value = self._movers[node.op_type](self, node, [self.floats(source) for source in sources(node)], None)
            self._floats[name] = value
        return self._floats[name]

    def codes(self, clipped: str) -> Value:
        """A clipped tensor as int8 codes of its grid."""
        return self._codes_of(self._late[clipped].input[0], self.reading.grids[clipped])

    def constant(self, name: str) -> np.ndarray | None:
        """The stored array of this name, if it is one."""
        return self.reading.constants.get(name)

    def with_channels(self, value: Value, *, last: bool) -> Value:
        """The same tensor in the layout."""
        if value.is_last == last:
            return value
        rank = len(self.file.shape(value.tensor))
        axes = (0, *range(2, rank), 1) if last else (0, rank - 1, *range(1, rank - 1))
        return Value(self.transposed(value.tensor, axes), last)

    def transposed(self, tensor: int, axes: Sequence[int]) -> int:
        shape = self.file.shape(tensor)
        made = self.file.tensor("transposed", [shape[axis] for axis in axes], self.file.grid(tensor))
        order = self.file.constant(np.asarray(axes, np.int32), "axes")
        self.file.operator("TRANSPOSE", [tensor, order], [made], options="TransposeOptions")
        return made

    def reshaped(self, tensor: int, shape: Sequence[int]) -> int:
        if tuple(shape) == self.file.shape(tensor):
            return tensor
        made = self.file.tensor("reshaped", shape, self.file.grid(tensor))
        sides = self.file.constant(np.asarray(shape, np.int32), "shape")
        self.file.operator("RESHAPE", [tensor, sides], [made], options="ReshapeOptions", newShape=list(shape))
        return made

    def _codes_of(self, name: str, grid: CodeGrid) -> Value:
        key = (name, grid)
        if key not in self._codes:
            node = self._late.get(name)
            if node is not None and node.op_type == "Conv" and is_whole(self, node):
                value = self._convolution(self, node, [], grid)
            elif node is not None and node.op_type in MOVES:
                parts = [self._codes_of(source, grid) for source in sources(node)]
                value = self._movers[node.op_type](self, node, parts, grid)
            else:
                value = self._quantized(self.floats(name), name, grid)
            self._codes[key] = value
        return self._codes[key]

    def _quantized(self, value: Value, name: str, grid: CodeGrid) -> Value:
        shape, source = self.file.shape(value.tensor), value.tensor
        if grid.max_code != BYTE_MAX_CODE:
            for kind, end in zip(("MAXIMUM", "MINIMUM"), grid.ends, strict=True):
                kept = self.file.tensor(f"{name};kept", shape)
                bound = self.file.constant(np.asarray([end], np.float32), "end")
                self.file.operator(kind, [source, bound], [kept], options="MaximumMinimumOptions")
                source = kept
        made = self.file.tensor(f"{name};codes", shape, grid)
        self.file.operator("QUANTIZE", [source], [made], options="QuantizeOptions")
        return Value(made, value.is_last)

    def _dequantized(self, value: Value, name: str) -> Value:
        made = self.file.tensor(name, self.file.shape(value.tensor))
        self.file.operator("DEQUANTIZE", [value.tensor], [made], options="DequantizeOptions")
        return Value(made, value.is_last)


def sources(node: NodeProto) -> list[str]:
    """The inputs whose values a node moves: all of a Concat, else the first."""
    return list(node.input) if node.op_type == "Concat" else [node.input[0]]


def is_whole(translation: Translation, conv: NodeProto) -> bool:
    """Whether a convolution multiplies codes by codes."""
    return conv.input[0] in translation.reading.grids and translation.reading.is_whole(conv.input[1])
