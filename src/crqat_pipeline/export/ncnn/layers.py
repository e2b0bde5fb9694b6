"""An ncnn network under construction: layers in order, and what they store.

Two files: a text with a line per layer, its inputs and outputs by name, and the stored numbers in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

MAGIC = "7767517"
INT8_TAG = 0x000D4B38
"""Before stored int8 numbers whose type is found from the file; 0 is before float32."""
LIST_KEY = -23300
"""Less the number of a parameter: the key of one that is a list."""

Parameter = int | float | Sequence[int]


class NcnnFiles(NamedTuple):
    """text, stored: the contents of both files. outputs: wished blob -> its name in the text."""

    text: str
    stored: bytes
    outputs: Mapping[str, str]


class Layer(NamedTuple):
    """parameters: by ncnn's own numbers."""

    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    parameters: Mapping[int, Parameter]


class Layers:
    """Blobs are referred to by their name. In ncnn one layer reads a blob: `to_files` puts copies where several do."""

    def __init__(self) -> None:
        self._layers: list[Layer] = []
        self._stored: list[bytes] = []
        self._names: Counter[str] = Counter()

    def blob(self, name: str) -> str:
        """A name of its own, without spaces, for a blob that is to be made."""
        name = name.replace(" ", "_")
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}~{self._names[name]}"

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        parameters: Mapping[int, Parameter] | None = None,
        stored: Sequence[bytes] = (),
    ) -> None:
        self._layers.append(Layer(kind, inputs, outputs, parameters or {}))
        self._stored.extend(stored)

    def to_files(self, wished: Sequence[str]) -> NcnnFiles:
        """wished: blobs that are asked of the network; they may be read inside it as well."""
        readers = Counter([*(name for layer in self._layers for name in layer.inputs), *wished])
        used: Counter[str] = Counter()
        layers: list[Layer] = []

        def read(name: str) -> str:
            used[name] += 1
            return name if readers[name] == 1 else f"{name}/{used[name]}"

        for layer in self._layers:
            layers.append(layer._replace(inputs=[read(name) for name in layer.inputs]))
            for name in layer.outputs:
                if readers[name] > 1:
                    copies = [f"{name}/{index}" for index in range(1, readers[name] + 1)]
                    layers.append(Layer("Split", [name], copies, {}))
        num_blobs = sum(len(layer.outputs) for layer in layers)
        lines = [_line(layer, index) for index, layer in enumerate(layers)]
        text = "\n".join([MAGIC, f"{len(lines)} {num_blobs}", *lines, ""])
        return NcnnFiles(text, b"".join(self._stored), {name: read(name) for name in wished})


def floats(values: np.ndarray) -> bytes:
    """Numbers whose type the layer knows."""
    return np.ascontiguousarray(values, "<f4").tobytes()


def typed(values: np.ndarray) -> bytes:
    """float32 or int8 numbers with their type before them, filled to whole words."""
    if values.dtype != np.int8:
        return bytes(4) + floats(values)
    content = np.ascontiguousarray(values).tobytes()
    return INT8_TAG.to_bytes(4, "little") + content + bytes(-len(content) % 4)


def _line(layer: Layer, index: int) -> str:
    counts = f"{len(layer.inputs)} {len(layer.outputs)}"
    pieces = [layer.kind, f"{layer.kind}_{index}", counts, *layer.inputs, *layer.outputs]
    for key, value in layer.parameters.items():
        if isinstance(value, float):
            pieces.append(f"{key}={value:.9e}")
        elif isinstance(value, int):
            pieces.append(f"{key}={value}")
        else:
            pieces.append(f"{LIST_KEY - key}={len(value)},{','.join(map(str, value))}")
    return " ".join(pieces)
