"""The LiteRT graph of a vendor graph, and the same with taps for its proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from crqat_pipeline.export.litert.convolution import convolution
from crqat_pipeline.export.litert.operators import MOVERS, WRITERS
from crqat_pipeline.export.litert.translation import Translation, Value
from crqat_pipeline.export.onnx.graph import IMAGES
from crqat_pipeline.export.vendor.reading import GraphReading


class Tap(NamedTuple):
    """An output that holds int8 codes. is_last: channels lie last."""

    name: str
    is_last: bool


class LitertGraph(NamedTuple):
    """taps: in the order of the file's outputs after boxes and scores. Convolutions by what they multiply."""

    content: bytes
    taps: Sequence[Tap]
    num_integer_convolutions: int
    num_float_convolutions: int


def build_litert(
    reading: GraphReading, metadata: Mapping[str, bytes], taps: Sequence[str] = (), *, has_int4_weights: bool = False
) -> LitertGraph:
    """The file's bytes. Input images (B, H, W, 3); outputs boxes (B, N, 4), scores (B, N, K), then codes of taps.

    taps: clipped tensors of the graph. has_int4_weights: codes of four bits two to a byte. Raises
    ValueError for an operator that nobody writes.
    """
    made = Translation(reading, convolution, MOVERS, has_int4_weights=has_int4_weights)
    batch, channels, height, width = reading.shapes[IMAGES]
    images = made.file.tensor(IMAGES, (batch, height, width, channels))
    made.put(IMAGES, Value(images, is_last=True))
    for node in reading.nodes:
        if node.op_type not in WRITERS:
            raise ValueError(
                f"The form litert writes {', '.join(sorted(WRITERS))}; this graph has {node.op_type} ({node.name!r}). "
                "Export the form fast, or add it to WRITERS in export/litert/operators.py."
            )
        WRITERS[node.op_type](made, node)
    outputs = {name: made.with_channels(made.floats(name), last=False).tensor for name in reading.outputs}
    codes = {name: made.codes(name) for name in taps}
    outputs |= {name: value.tensor for name, value in codes.items()}
    return LitertGraph(
        made.file.to_bytes({IMAGES: images}, outputs, metadata),
        [Tap(name, value.is_last) for name, value in codes.items()],
        made.num_integer_convolutions,
        made.num_float_convolutions,
    )
