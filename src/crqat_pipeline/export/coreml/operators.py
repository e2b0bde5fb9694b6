"""Who writes which operator of the float graph into a Core ML program.

Tensors are as in the graph, batch axis included. Where one has a grid it is quantized to bytes and taken back at once,
which Core ML's compiler fuses into the convolution that follows.

Shape letters: O output channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from crqat_pipeline.export.vendor.reading import GraphReading, attributes

if TYPE_CHECKING:
    from onnx import NodeProto

ARITHMETIC = MappingProxyType({"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "real_div"})
BYTE_MAX_CODE = 255
SMALL_BITS = 4


class Program:
    """builder: of Core ML's intermediate language, inside an open function. values: by tensor of the graph."""

    def __init__(self, reading: GraphReading, builder: Any, small_type: Any) -> None:
        """small_type: the array type of codes of four bits."""
        self.reading, self.builder, self._small_type = reading, builder, small_type
        self.values: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """A computed tensor, or a stored one as float32."""
        if name in self.values:
            return self.values[name]
        return self.reading.constants[name].astype(np.float32)

    def weight(self, name: str) -> Any:
        """A stored weight: codes with a scale per output channel where it has a grid, four bits as such."""
        if not self.reading.is_whole(name):
            return self.value(name)
        codes, scale_O, bits = self.reading.weight_codes(name)
        kept = codes.astype(self._small_type) if bits <= SMALL_BITS else codes
        scale = scale_O.reshape(-1, *[1] * (codes.ndim - 1))
        return self.builder.constexpr_blockwise_shift_scale(data=kept, scale=scale, name=_plain(name))


Writer = Callable[[Program, "NodeProto"], Any]


def arithmetic(program: Program, node: NodeProto) -> Any:
    left, right = (program.value(name) for name in node.input)
    return getattr(program.builder, ARITHMETIC[node.op_type])(x=left, y=right, name=_plain(node.output[0]))


def clip(program: Program, node: NodeProto) -> Any:
    """Rounded to its grid. Raises ValueError for a tensor without."""
    grid = program.reading.grids.get(node.output[0])
    if grid is None:
        raise _unknown(node, "ends that are no grid")
    source = program.value(node.input[0])
    if grid.max_code != BYTE_MAX_CODE:  # bytes hold more than this grid
        low, high = grid.ends
        source = program.builder.clip(x=source, alpha=np.float32(low), beta=np.float32(high))
    step = {"scale": np.float32(grid.scale), "zero_point": np.uint8(grid.zero_point)}
    codes = program.builder.quantize(input=source, output_dtype="uint8", **step)
    return program.builder.dequantize(input=codes, name=_plain(node.output[0]), **step)


def concat(program: Program, node: NodeProto) -> Any:
    parts = [program.value(name) for name in node.input]
    return program.builder.concat(values=parts, axis=attributes(node)["axis"], name=_plain(node.output[0]))


def convolution(program: Program, node: NodeProto) -> Any:
    facts = attributes(node)
    top, left, bottom, right = facts["pads"]
    bias = {"bias": program.value(node.input[2])} if len(node.input) > 2 else {}
    return program.builder.conv(
        x=program.value(node.input[0]),
        weight=program.weight(node.input[1]),
        strides=list(facts["strides"]),
        pad_type="custom",
        pad=[top, bottom, left, right],
        dilations=list(facts["dilations"]),
        groups=facts["group"],
        name=_plain(node.output[0]),
        **bias,
    )


def matmul(program: Program, node: NodeProto) -> Any:
    left, right = (program.value(name) for name in node.input)
    return program.builder.matmul(x=left, y=right, name=_plain(node.output[0]))


def max_pool(program: Program, node: NodeProto) -> Any:
    facts = attributes(node)
    top, left, bottom, right = facts["pads"]
    return program.builder.max_pool(
        x=program.value(node.input[0]),
        kernel_sizes=list(facts["kernel_shape"]),
        strides=list(facts.get("strides", [1, 1])),
        pad_type="custom",
        pad=[top, bottom, left, right],
        name=_plain(node.output[0]),
    )


def reduce_max(program: Program, node: NodeProto) -> Any:
    axes = [int(axis) for axis in np.atleast_1d(program.reading.constants[node.input[1]])]
    keeps = bool(attributes(node).get("keepdims", 1))
    source = program.value(node.input[0])
    return program.builder.reduce_max(x=source, axes=axes, keep_dims=keeps, name=_plain(node.output[0]))


def reshape(program: Program, node: NodeProto) -> Any:
    shape = list(program.reading.shapes[node.output[0]])
    return program.builder.reshape(x=program.value(node.input[0]), shape=shape, name=_plain(node.output[0]))


def resize(program: Program, node: NodeProto) -> Any:
    before, after = (program.reading.shapes[name] for name in (node.input[0], node.output[0]))
    height, width = (new / old for new, old in zip(after[2:], before[2:], strict=True))
    return program.builder.upsample_nearest_neighbor(
        x=program.value(node.input[0]),
        scale_factor_height=np.float32(height),
        scale_factor_width=np.float32(width),
        name=_plain(node.output[0]),
    )


def sigmoid(program: Program, node: NodeProto) -> Any:
    return program.builder.sigmoid(x=program.value(node.input[0]), name=_plain(node.output[0]))


def softmax(program: Program, node: NodeProto) -> Any:
    axis = attributes(node).get("axis", -1)
    return program.builder.softmax(x=program.value(node.input[0]), axis=axis, name=_plain(node.output[0]))


def split(program: Program, node: NodeProto) -> Any:
    sizes = [int(size) for size in program.reading.constants[node.input[1]]]
    source = program.value(node.input[0])
    return program.builder.split(x=source, split_sizes=sizes, axis=attributes(node)["axis"])


def transpose(program: Program, node: NodeProto) -> Any:
    axes = list(attributes(node)["perm"])
    return program.builder.transpose(x=program.value(node.input[0]), perm=axes, name=_plain(node.output[0]))


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        **dict.fromkeys(ARITHMETIC, arithmetic),
        "Clip": clip,
        "Concat": concat,
        "Conv": convolution,
        "MatMul": matmul,
        "MaxPool": max_pool,
        "ReduceMax": reduce_max,
        "Reshape": reshape,
        "Resize": resize,
        "Sigmoid": sigmoid,
        "Softmax": softmax,
        "Split": split,
        "Transpose": transpose,
    }
)


def _plain(name: str) -> str:
    """A name that Core ML takes: letters, digits and underscores."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _unknown(node: NodeProto, what: str) -> ValueError:
    return ValueError(
        f"The form coreml does not know {node.op_type} with {what} ({node.name!r}). Export the form fast, or add it to "
        "export/coreml/operators.py."
    )
