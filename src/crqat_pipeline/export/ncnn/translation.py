"""One float graph with ranges becoming an ncnn network: which tensor is which blob.

Blobs have no batch axis: the graph's is one image. ncnn rounds where a convolution begins, to int8 without a zero
point; everything between two convolutions is floating point.

Shape letters: O output channels, I inputs of one output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crqat_pipeline.export.ncnn.layers import Layers, floats, typed
from crqat_pipeline.export.vendor.reading import GraphReading, attributes

if TYPE_CHECKING:
    from onnx import NodeProto

INT8_REACH = 127
ADD, MULTIPLY = 0, 2
ROUND = 18


class Codes(NamedTuple):
    """A blob that a convolution rounds to int8: value = (sign * int8 + offset) * scale of the grid.

    What pads it stands for 0. ncnn 1.0.20261020 pads 8 packed channels wrongly with a number below 0, so sign and
    offset are such that it is above.
    """

    blob: str
    offset: int

    @property
    def sign(self) -> int:
        return -1 if self.offset > 0 else 1

    @property
    def padding(self) -> int:
        return abs(self.offset)


class Translation:
    """reading: the graph. layers: what is written so far."""

    def __init__(self, reading: GraphReading) -> None:
        self.reading, self.layers = reading, Layers()
        self._floats: dict[str, str] = {}
        self._clips: dict[str, str] = {}
        self._codes: dict[str, Codes] = {}
        self.num_integer_convolutions = self.num_float_convolutions = 0

    def put(self, name: str, blob: str) -> None:
        """The blob of a tensor of the graph."""
        self._floats[name] = blob

    def made(self, name: str) -> str:
        """A new blob for a tensor of the graph."""
        self._floats[name] = self.layers.blob(name)
        return self._floats[name]

    def put_clip(self, clipped: str, source: str) -> None:
        """A tensor with a grid, and the one that is rounded to it; written when somebody reads it."""
        self._clips[clipped] = source

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor without its batch axis."""
        return self.reading.shapes[name][1:]

    def floats(self, name: str) -> str:
        """The blob of a tensor, rounded where it has a grid; a stored tensor becomes a blob."""
        if name not in self._floats:
            if name in self._clips:
                self._floats[name] = self._rounded(name)
            else:
                self._floats[name] = self.stored(name, self.reading.constants[name][0])
        return self._floats[name]

    def codes(self, clipped: str) -> Codes:
        """The blob of a tensor with a grid that a convolution rounds itself.

        int8 in ncnn goes from -127 to 127. A grid that does not fit is moved by a whole number of steps; one of 255
        codes then ends where int8 does. Raises ValueError for a grid of more.
        """
        if clipped not in self._codes:
            source, grid = self.floats(self._clips[clipped]), self.reading.grids[clipped]
            lowest, highest = -grid.zero_point, grid.max_code - grid.zero_point
            if grid.max_code > 2 * INT8_REACH:
                raise ValueError(f"int8 in ncnn has 255 codes; {clipped!r} has {grid.max_code + 1}. Narrow its grid.")
            offset = highest - INT8_REACH if max(-lowest, highest) > INT8_REACH else 0
            if grid.max_code < 2 * INT8_REACH or not offset:
                low, high = grid.ends
                kept = self.layers.blob(clipped)
                self.layers.add("Clip", [source], [kept], {0: low, 1: high})
                source = kept
            if offset:
                moved = self.layers.blob(f"{clipped};moved")
                by = float(-offset * np.float32(grid.scale))
                self.layers.add("BinaryOp", [source], [moved], {0: ADD, 1: 1, 2: by})
                source = moved
            self._codes[clipped] = Codes(source, offset)
        return self._codes[clipped]

    def stored(self, name: str, values: np.ndarray) -> str:
        """A blob of stored numbers, at most four axes."""
        made = self.layers.blob(name)
        keys = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[values.ndim]
        sides = dict(zip(keys, values.shape, strict=True))
        self.layers.add("MemoryData", [], [made], sides, [floats(values)])
        return made

    def _rounded(self, clipped: str) -> str:
        """To the grid, in floating point."""
        source, grid = self.floats(self._clips[clipped]), self.reading.grids[clipped]
        scale = float(np.float32(grid.scale))
        ends = {0: float(-grid.zero_point), 1: float(grid.max_code - grid.zero_point)}
        steps, whole, kept, made = (
            self.layers.blob(f"{clipped};{step}") for step in ("steps", "whole", "kept", "value")
        )
        self.layers.add("BinaryOp", [source], [steps], {0: MULTIPLY, 1: 1, 2: 1 / scale})
        self.layers.add("UnaryOp", [steps], [whole], {0: ROUND})
        self.layers.add("Clip", [whole], [kept], ends)
        self.layers.add("BinaryOp", [kept], [made], {0: MULTIPLY, 1: 1, 2: scale})
        return made


def convolution(translation: Translation, node: NodeProto) -> None:
    """On int8 where input and weight have grids. Raises ValueError for groups."""
    facts, reading = attributes(node), translation.reading
    if facts["group"] != 1:
        raise ValueError(
            f"The form ncnn writes convolutions without groups; {node.name!r} has {facts['group']}. Export the form "
            "fast, or add them to export/ncnn/translation.py."
        )
    source, weight = node.input[0], node.input[1]
    values = reading.constants[weight]
    bias_O = reading.constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(values))
    top, left, bottom, right = facts["pads"]
    height, width = facts["kernel_shape"]
    sides = {0: len(values), 1: width, 11: height, 3: facts["strides"][1], 13: facts["strides"][0]}
    sides |= {2: facts["dilations"][1], 12: facts["dilations"][0], 4: left, 14: top, 15: right, 16: bottom}
    sides |= {5: 1, 6: values.size}
    if source in reading.grids and reading.is_whole(weight):
        translation.num_integer_convolutions += 1
        codes_OIHW, scale_O, _ = reading.weight_codes(weight)
        scale = np.float32(reading.grids[source].scale)
        codes = translation.codes(source)
        blob = codes.blob
        if codes.offset:  # what the moved input lacks is one number per output channel
            sums_O = codes_OIHW.reshape(len(values), -1).sum(axis=1, dtype=np.int64)
            bias_O = bias_O + codes.offset * float(scale) * scale_O.astype(np.float64) * sums_O
        steps = floats(np.asarray([codes.sign / scale]))
        pieces = [typed(codes_OIHW), floats(bias_O), floats(1 / scale_O), steps]
        parameters = {**sides, 18: float(codes.padding), 8: 2}
    else:
        translation.num_float_convolutions += 1
        blob, pieces, parameters = translation.floats(source), [typed(values.astype(np.float32)), floats(bias_O)], sides
    translation.layers.add("Convolution", [blob], [translation.made(node.output[0])], parameters, pieces)
