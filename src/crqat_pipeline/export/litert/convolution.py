"""Convolutions of a LiteRT graph: on codes where input, weight and output have grids, else on floats.

Shape letters: O output channels, I inputs of one output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crqat_pipeline.export.litert.flatbuffer import INT4_CONVOLUTION
from crqat_pipeline.export.litert.translation import Translation, Value
from crqat_pipeline.export.onnx.code_grid import CodeGrid
from crqat_pipeline.export.vendor.reading import attributes

if TYPE_CHECKING:
    from onnx import NodeProto

SAME, VALID = 0, 1
INT32_REACH = 2**31 - 1


def convolution(translation: Translation, node: NodeProto, _: Sequence[Value], grid: CodeGrid | None) -> Value:
    """grid: of the output where it is asked for as codes, which then are int8 sums of int8 products.

    Raises ValueError for groups.
    """
    facts, file = attributes(node), translation.file
    if facts["group"] != 1:
        raise ValueError(
            f"The form litert writes convolutions without groups; {node.name!r} has {facts['group']}. Export the form "
            "fast, or add them to export/litert/convolution.py."
        )
    name, weight = node.output[0], node.input[1]
    bias_O = translation.reading.constants[node.input[2]] if len(node.input) > 2 else None
    if grid is None:
        translation.num_float_convolutions += 1
        source = translation.floats(node.input[0])
        weight_OHWI = np.ascontiguousarray(translation.reading.constants[weight].transpose(0, 2, 3, 1), np.float32)
        kernel, version = file.constant(weight_OHWI, weight), None
        sums_O = np.zeros(len(weight_OHWI), np.float32) if bias_O is None else bias_O.astype(np.float32)
        bias = file.constant(sums_O, f"{name};bias")
    else:
        translation.num_integer_convolutions += 1
        source = translation.codes(node.input[0])
        codes, scale_O, bits = translation.reading.weight_codes(weight)
        bits = bits if translation.has_int4_weights else 8
        kernel = file.constant(np.ascontiguousarray(codes.transpose(0, 2, 3, 1)), weight, scale_O, bits)
        version = INT4_CONVOLUTION if bits == 4 else None
        unit_O = scale_O * np.float32(translation.reading.grids[node.input[0]].scale)
        steps_O = np.zeros(len(codes)) if bias_O is None else np.rint(bias_O.astype(np.float64) / unit_O)
        bias = file.constant(np.clip(steps_O, -INT32_REACH, INT32_REACH).astype(np.int32), f"{name};bias", unit_O)
    source = translation.with_channels(source, last=True)
    strides, pads = facts["strides"], facts["pads"]
    tensor, padding = _padded(translation, source.tensor, facts["kernel_shape"], strides, pads)
    batch, channels, height, width = translation.reading.shapes[name]
    made = file.tensor(name, (batch, height, width, channels), grid)
    file.operator(
        "CONV_2D",
        [tensor, kernel, bias],
        [made],
        version=version,
        options="Conv2DOptions",
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        dilationHFactor=facts["dilations"][0],
        dilationWFactor=facts["dilations"][1],
    )
    return Value(made, is_last=True)


def _padded(
    translation: Translation, tensor: int, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]
) -> tuple[int, int]:
    """The input and the padding mode: SAME puts the odd row below, ONNX pads both sides, so that strides need a PAD."""
    if not any(pads):
        return tensor, VALID
    file = translation.file
    is_even = all(side == 1 for side in strides) and list(pads) == [side // 2 for side in kernel] * 2
    if is_even:
        return tensor, SAME
    batch, height, width, channels = file.shape(tensor)
    top, left, bottom, right = pads
    shape = (batch, height + top + bottom, width + left + right, channels)
    grid = file.grid(tensor)
    made = file.tensor("padded", shape, grid)
    rows = np.asarray([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    file.operator("PAD", [tensor, file.constant(rows, "pads")], [made], options="PadOptions")
    return made, VALID
