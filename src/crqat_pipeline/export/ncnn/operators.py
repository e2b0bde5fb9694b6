"""Who writes which operator of the float graph as an ncnn layer.

Shape letters: B images, C channels, P pixels, K prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from crqat_pipeline.export.ncnn.translation import Translation, convolution
from crqat_pipeline.export.vendor.reading import attributes

if TYPE_CHECKING:
    from onnx import NodeProto

ARITHMETIC = MappingProxyType({"Add": 0, "Sub": 1, "Mul": 2, "Div": 3})
SWAPPED = MappingProxyType({0: 0, 1: 7, 2: 2, 3: 8})
"""Operation -> the same with its operands exchanged."""
MAXIMUM = 4
NEAREST = 1
ORDERS = ("whc", "hwc", "wch", "cwh", "hcw", "chw")
"""Of ncnn's Permute: where the width, height and channels of the result come from."""

Writer = Callable[[Translation, "NodeProto"], None]


def arithmetic(translation: Translation, node: NodeProto) -> None:
    kind, (left, right) = ARITHMETIC[node.op_type], node.input
    if translation.reading.constants.get(left) is not None:
        kind, left, right = SWAPPED[kind], right, left
    source, stored = translation.floats(left), translation.reading.constants.get(right)
    if stored is None:
        inputs, scalar = [source, translation.floats(right)], {}
    elif stored.size == 1:
        inputs, scalar = [source], {1: 1, 2: float(stored.reshape(()))}
    else:
        rank = len(translation.reading.shapes[node.output[0]])
        full = stored.reshape(*[1] * (rank - stored.ndim), *stored.shape)
        inputs, scalar = [source, translation.stored(right, full[0])], {}
    translation.layers.add("BinaryOp", inputs, [translation.made(node.output[0])], {0: kind, **scalar})


def clip(translation: Translation, node: NodeProto) -> None:
    if node.output[0] not in translation.reading.grids:
        raise _unknown(node, "ends that are no grid")
    translation.put_clip(node.output[0], node.input[0])


def sigmoid(translation: Translation, node: NodeProto) -> None:
    source = translation.floats(node.input[0])
    translation.layers.add("Sigmoid", [source], [translation.made(node.output[0])])


def swish(translation: Translation, node: NodeProto, source: str) -> None:
    """The product of a tensor and its sigmoid."""
    translation.layers.add("Swish", [translation.floats(source)], [translation.made(node.output[0])])


def concat(translation: Translation, node: NodeProto) -> None:
    parts = [translation.floats(name) for name in node.input]
    made = translation.made(node.output[0])
    translation.layers.add("Concat", parts, [made], {0: _axis(attributes(node)["axis"], translation, node)})


def split(translation: Translation, node: NodeProto) -> None:
    source = translation.floats(node.input[0])
    sizes = [int(size) for size in translation.reading.constants[node.input[1]]]
    made = [translation.made(name) for name in node.output]
    axis = _axis(attributes(node)["axis"], translation, node)
    translation.layers.add("Slice", [source], made, {0: sizes, 1: axis})


def max_pool(translation: Translation, node: NodeProto) -> None:
    facts = attributes(node)
    height, width = facts["kernel_shape"]
    strides, (top, left, bottom, right) = facts.get("strides", [1, 1]), facts["pads"]
    sides = {0: 0, 1: width, 11: height, 2: strides[1], 12: strides[0], 3: left, 13: top, 14: right, 15: bottom, 5: 1}
    source = translation.floats(node.input[0])
    translation.layers.add("Pooling", [source], [translation.made(node.output[0])], sides)


def resize(translation: Translation, node: NodeProto) -> None:
    _, height, width = translation.shape(node.output[0])
    source = translation.floats(node.input[0])
    translation.layers.add("Interp", [source], [translation.made(node.output[0])], {0: NEAREST, 3: height, 4: width})


def reshape(translation: Translation, node: NodeProto) -> None:
    shape = translation.shape(node.output[0])
    keys = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[len(shape)]
    source = translation.floats(node.input[0])
    made = translation.made(node.output[0])
    translation.layers.add("Reshape", [source], [made], dict(zip(keys, shape, strict=True)))


def transpose(translation: Translation, node: NodeProto) -> None:
    axes = attributes(node)["perm"]
    if axes[0] != 0 or len(axes) not in (3, 4):
        raise _unknown(node, f"the order {list(axes)}")
    order = 1
    if len(axes) == 4:
        order = ORDERS.index("".join("chw"[axis - 1] for axis in reversed(axes[1:])))
    source = translation.floats(node.input[0])
    translation.layers.add("Permute", [source], [translation.made(node.output[0])], {0: order})


def matmul(translation: Translation, node: NodeProto) -> None:
    blobs = []
    for name in node.input:
        stored = translation.reading.constants.get(name)
        if stored is None:
            blobs.append(translation.floats(name))
        else:
            blobs.append(translation.stored(name, stored if stored.ndim == 2 else stored[0]))
    translation.layers.add("MatMul", blobs, [translation.made(node.output[0])])


def softmax(translation: Translation, node: NodeProto) -> None:
    source = translation.floats(node.input[0])
    axis = _axis(attributes(node).get("axis", -1), translation, node)
    translation.layers.add("Softmax", [source], [translation.made(node.output[0])], {0: axis, 1: 1})


def reduce_max(translation: Translation, node: NodeProto) -> None:
    source = translation.floats(node.input[0])
    axes = [_axis(int(axis), translation, node) for axis in np.atleast_1d(translation.reading.constants[node.input[1]])]
    keeps = int(attributes(node).get("keepdims", 1))
    made = translation.made(node.output[0])
    translation.layers.add("Reduction", [source], [made], {0: MAXIMUM, 1: 0, 3: axes, 4: keeps, 5: 1})


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


def _axis(axis: int, translation: Translation, node: NodeProto) -> int:
    """Of a blob, which has no batch axis. Raises ValueError for that one."""
    axis %= len(translation.reading.shapes[node.input[0]])
    if axis == 0:
        raise _unknown(node, "an axis that is the batch")
    return axis - 1


def _unknown(node: NodeProto, what: str) -> ValueError:
    return ValueError(
        f"The form ncnn does not know {node.op_type} with {what} ({node.name!r}). Export the form fast, or add it to "
        "export/ncnn/operators.py."
    )
