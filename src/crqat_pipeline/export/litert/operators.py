"""Who writes which operator of the float graph into a LiteRT graph.

WRITERS: at once, on floats. MOVERS: when asked for, on floats or codes.

Shape letters: B images, C channels, P pixels, K prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from crqat_pipeline.export.litert.convolution import SAME
from crqat_pipeline.export.litert.translation import Mover, Translation, Value, Writer
from crqat_pipeline.export.onnx.code_grid import CodeGrid
from crqat_pipeline.export.vendor.reading import attributes

if TYPE_CHECKING:
    from onnx import NodeProto

ARITHMETIC = MappingProxyType({"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV"})


def arithmetic(translation: Translation, node: NodeProto) -> None:
    computed = [translation.floats(name) for name in node.input if translation.constant(name) is None]
    is_last = any(value.is_last for value in computed)
    rank = len(translation.reading.shapes[node.output[0]])
    tensors = []
    for name in node.input:
        stored = translation.constant(name)
        if stored is None:
            value = translation.floats(name)
            if is_last and len(translation.file.shape(value.tensor)) < rank:
                raise _unknown(node, "operands of different rank")
            tensors.append(translation.with_channels(value, last=is_last).tensor)
            continue
        stored = stored.reshape(*[1] * (rank - stored.ndim), *stored.shape)
        if is_last:
            stored = np.moveaxis(stored, 1, -1)
        if stored.size == 1:
            stored = stored.reshape(1)
        tensors.append(translation.file.constant(np.ascontiguousarray(stored, np.float32), name))
    kind = ARITHMETIC[node.op_type]
    made = translation.file.tensor(node.output[0], _shape(translation, node.output[0], is_last))
    translation.file.operator(kind, tensors, [made], options=f"{kind.title()}Options")
    translation.put(node.output[0], Value(made, is_last))


def sigmoid(translation: Translation, node: NodeProto) -> None:
    value = translation.floats(node.input[0])
    made = translation.file.tensor(node.output[0], translation.file.shape(value.tensor))
    translation.file.operator("LOGISTIC", [value.tensor], [made])
    translation.put(node.output[0], Value(made, value.is_last))


def softmax(translation: Translation, node: NodeProto) -> None:
    value = translation.with_channels(translation.floats(node.input[0]), last=False)
    if attributes(node).get("axis", -1) % len(translation.file.shape(value.tensor)) != _rank(translation, node) - 1:
        raise _unknown(node, "another axis than the last")
    made = translation.file.tensor(node.output[0], translation.file.shape(value.tensor))
    translation.file.operator("SOFTMAX", [value.tensor], [made], options="SoftmaxOptions", beta=1.0)
    translation.put(node.output[0], Value(made, is_last=False))


def split(translation: Translation, node: NodeProto) -> None:
    value = translation.floats(node.input[0])
    axis = _axis(attributes(node)["axis"], _rank(translation, node), value.is_last)
    made = [translation.file.tensor(name, _shape(translation, name, value.is_last)) for name in node.output]
    sizes = translation.reading.constants[node.input[1]].astype(np.int32)
    place = translation.file.constant(np.asarray(axis, np.int32), "axis")
    if len(set(sizes.tolist())) == 1:  # XNNPACK takes equal parts alone
        inputs = [place, value.tensor]
        translation.file.operator("SPLIT", inputs, made, options="SplitOptions", numSplits=len(made))
    else:
        inputs = [value.tensor, translation.file.constant(sizes, "sizes"), place]
        translation.file.operator("SPLIT_V", inputs, made, options="SplitVOptions", numSplits=len(made))
    for name, tensor in zip(node.output, made, strict=True):
        translation.put(name, Value(tensor, value.is_last))


def reshape(translation: Translation, node: NodeProto) -> None:
    """(B, C, H, W) to (B, C, P) moves nothing where channels lie last; else they are put in order first."""
    value, shape = translation.floats(node.input[0]), translation.reading.shapes[node.output[0]]
    before = translation.reading.shapes[node.input[0]]
    stays = value.is_last and len(shape) == 3 and shape[:2] == before[:2]
    if not stays:
        value = translation.with_channels(value, last=False)
    wanted = _shape(translation, node.output[0], stays)
    translation.put(node.output[0], Value(translation.reshaped(value.tensor, wanted), stays))


def transpose(translation: Translation, node: NodeProto) -> None:
    value, axes = translation.floats(node.input[0]), list(attributes(node)["perm"])
    if value.is_last and axes == [0, 2, 1]:
        translation.put(node.output[0], Value(value.tensor, is_last=False))
        return
    value = translation.with_channels(value, last=False)
    translation.put(node.output[0], Value(translation.transposed(value.tensor, axes), is_last=False))


def matmul(translation: Translation, node: NodeProto) -> None:
    """A stored factor of two axes becomes the weight of a fully connected layer; texts (K, D) times maps (B, D, P),
    which lie as (B, P, D), give (B, P, K)."""
    left, right = (translation.constant(name) for name in node.input)
    file = translation.file
    if left is not None and _is_matrix(left):
        value = translation.with_channels(translation.floats(node.input[1]), last=True)
        weight, is_last = left.reshape(left.shape[-2:]), True
        if _rank(translation, node) != 3:
            raise _unknown(node, "more than three axes")
    elif right is not None and _is_matrix(right):
        value = translation.with_channels(translation.floats(node.input[0]), last=False)
        weight, is_last = right.reshape(right.shape[-2:]).T, False
    else:
        _batch_matmul(translation, node)
        return
    made = file.tensor(node.output[0], _shape(translation, node.output[0], is_last))
    stored = file.constant(np.ascontiguousarray(weight, np.float32), f"{node.output[0]};weight")
    inputs = [value.tensor, stored, -1]
    file.operator("FULLY_CONNECTED", inputs, [made], options="FullyConnectedOptions", keepNumDims=True)
    translation.put(node.output[0], Value(made, is_last))


def reduce_max(translation: Translation, node: NodeProto) -> None:
    value = translation.with_channels(translation.floats(node.input[0]), last=False)
    axes = translation.file.constant(translation.reading.constants[node.input[1]].astype(np.int32), "axes")
    made = translation.file.tensor(node.output[0], translation.reading.shapes[node.output[0]])
    keeps = bool(attributes(node).get("keepdims", 1))
    translation.file.operator("REDUCE_MAX", [value.tensor, axes], [made], options="ReducerOptions", keepDims=keeps)
    translation.put(node.output[0], Value(made, is_last=False))


def late(translation: Translation, node: NodeProto) -> None:
    translation.put_late(node)


def concat(translation: Translation, node: NodeProto, parts: Sequence[Value], grid: CodeGrid | None) -> Value:
    is_last = any(part.is_last for part in parts)
    tensors = [translation.with_channels(part, last=is_last).tensor for part in parts]
    axis = _axis(attributes(node)["axis"], _rank(translation, node), is_last)
    made = translation.file.tensor(node.output[0], _shape(translation, node.output[0], is_last), grid)
    translation.file.operator("CONCATENATION", tensors, [made], options="ConcatenationOptions", axis=axis)
    return Value(made, is_last)


def max_pool(translation: Translation, node: NodeProto, parts: Sequence[Value], grid: CodeGrid | None) -> Value:
    value, facts = translation.with_channels(parts[0], last=True), attributes(node)
    height, width = facts["kernel_shape"]
    strides = facts.get("strides", [1, 1])
    if list(strides) != [1, 1] or list(facts["pads"]) != [height // 2, width // 2] * 2:
        raise _unknown(node, "strides or uneven padding")
    made = translation.file.tensor(node.output[0], translation.file.shape(value.tensor), grid)
    sides = {"filterHeight": height, "filterWidth": width, "strideH": 1, "strideW": 1, "padding": SAME}
    translation.file.operator("MAX_POOL_2D", [value.tensor], [made], options="Pool2DOptions", **sides)
    return Value(made, is_last=True)


def resize(translation: Translation, node: NodeProto, parts: Sequence[Value], grid: CodeGrid | None) -> Value:
    value = translation.with_channels(parts[0], last=True)
    shape = _shape(translation, node.output[0], True)
    made = translation.file.tensor(node.output[0], shape, grid)
    size = translation.file.constant(np.asarray(shape[1:3], np.int32), "size")
    inputs = [value.tensor, size]
    translation.file.operator("RESIZE_NEAREST_NEIGHBOR", inputs, [made], options="ResizeNearestNeighborOptions")
    return Value(made, is_last=True)


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        **dict.fromkeys(ARITHMETIC, arithmetic),
        **dict.fromkeys(("Conv", "Clip", "Concat", "MaxPool", "Resize"), late),
        "MatMul": matmul,
        "ReduceMax": reduce_max,
        "Reshape": reshape,
        "Sigmoid": sigmoid,
        "Softmax": softmax,
        "Split": split,
        "Transpose": transpose,
    }
)
MOVERS: Mapping[str, Mover] = MappingProxyType({"Concat": concat, "MaxPool": max_pool, "Resize": resize})


def _batch_matmul(translation: Translation, node: NodeProto) -> None:
    tensors = []
    for name in node.input:
        stored = translation.constant(name)
        if stored is None:
            tensors.append(translation.with_channels(translation.floats(name), last=False).tensor)
        else:
            tensors.append(translation.file.constant(np.ascontiguousarray(stored, np.float32), name))
    made = translation.file.tensor(node.output[0], translation.reading.shapes[node.output[0]])
    translation.file.operator("BATCH_MATMUL", tensors, [made], options="BatchMatMulOptions")
    translation.put(node.output[0], Value(made, is_last=False))


def _is_matrix(stored: np.ndarray) -> bool:
    return stored.ndim >= 2 and stored.size == stored.shape[-1] * stored.shape[-2]


def _shape(translation: Translation, name: str, is_last: bool) -> tuple[int, ...]:
    shape = translation.reading.shapes[name]
    return (shape[0], *shape[2:], shape[1]) if is_last else shape


def _rank(translation: Translation, node: NodeProto) -> int:
    return len(translation.reading.shapes[node.output[0]])


def _axis(axis: int, rank: int, is_last: bool) -> int:
    axis %= rank
    if not is_last or axis == 0:
        return axis
    return rank - 1 if axis == 1 else axis - 1


def _unknown(node: NodeProto, what: str) -> ValueError:
    return ValueError(
        f"The form litert does not know {node.op_type} with {what} ({node.name!r}). Export the form fast, or add it to "
        "export/litert/operators.py."
    )
