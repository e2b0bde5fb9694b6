"""The ncnn network of a vendor graph, and the same with taps for its proof."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from crqat_pipeline.export.ncnn.layers import NcnnFiles
from crqat_pipeline.export.ncnn.operators import WRITERS, swish
from crqat_pipeline.export.ncnn.translation import Codes, Translation
from crqat_pipeline.export.onnx.graph import IMAGES
from crqat_pipeline.export.vendor.reading import GraphReading

if TYPE_CHECKING:
    from onnx import NodeProto


class NcnnGraph(NamedTuple):
    """taps: clipped tensor -> what a convolution rounds, or the blob that is rounded already (None for its offset).

    Convolutions by what they multiply.
    """

    files: NcnnFiles
    taps: Mapping[str, Codes]
    num_integer_convolutions: int
    num_float_convolutions: int


def build_ncnn(reading: GraphReading, taps: Sequence[str] = ()) -> NcnnGraph:
    """Input images (3, H, W); outputs boxes (N, 4), scores (N, K). taps: clipped tensors that are asked for as well.

    Raises ValueError for an operator that nobody writes, and for a batch.
    """
    batch, channels, height, width = reading.shapes[IMAGES]
    if batch != 1:
        raise ValueError(f"An ncnn network takes one image at a time; got a batch of {batch}. Leave --batch out.")
    made = Translation(reading)
    made.layers.add("Input", [], [made.made(IMAGES)], {0: width, 1: height, 2: channels})
    gates = _gates(reading)
    for node in reading.nodes:
        if node.op_type not in WRITERS:
            raise ValueError(
                f"The form ncnn writes {', '.join(sorted(WRITERS))}; this graph has {node.op_type} ({node.name!r}). "
                "Export the form fast, or add it to WRITERS in export/ncnn/operators.py."
            )
        if node.output[0] in gates:
            continue
        if any(name in gates for name in node.input):
            swish(made, node, next(name for name in node.input if name not in gates))
        else:
            WRITERS[node.op_type](made, node)
    codes = {name: made.codes(name) for name in taps}
    outputs = [made.floats(name) for name in reading.outputs]
    files = made.layers.to_files([*outputs, *(each.blob for each in codes.values())])
    return NcnnGraph(files, codes, made.num_integer_convolutions, made.num_float_convolutions)


def _gates(reading: GraphReading) -> set[str]:
    """Sigmoids whose only reader multiplies them by their own input: a layer that ncnn has."""
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in reading.nodes:
        for name in node.input:
            readers[name].append(node)
    return {
        node.output[0]
        for node in reading.nodes
        if node.op_type == "Sigmoid"
        and [each.op_type for each in readers[node.output[0]]] == ["Mul"]
        and node.input[0] in readers[node.output[0]][0].input
        and node.output[0] not in reading.outputs
    }
