"""Convolutions of an ncnn model: a text graph (.param) and one run of bytes (.bin). Both are data; nothing is executed.

The graph names the layers in the order of execution; the .bin holds, for each convolution in the same order:

    4 bytes    a tag: 0x01306B47 for half precision, 0 for single precision
    weights    `num_weights` numbers, (outputs, inputs / groups, k, k) row-major; half precision is padded to 4 bytes
    bias       one float32 per output, if the layer has one

Other layers of this network (pooling, shuffling, addition) hold no numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crqat_pipeline.detectors.weights import WeightsRefused

MAGIC = "7767517"
TAG_BYTES = 4
NUMBERS: Mapping[int, str] = {0x01306B47: "<f2", 0: "<f4"}
"""Tag -> how a weight is stored."""
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
OUTPUTS, KERNEL, STRIDE, PADDING, HAS_BIAS, NUM_WEIGHTS, GROUPS = 0, 1, 3, 4, 5, 6, 7
"""Keys of a convolution's settings."""
LARGEST_GRAPH_BYTES = 1 << 20


@dataclass(frozen=True)
class NcnnConvolution:
    """weight: (outputs, inputs / groups, k, k) float32; bias: (outputs,) float32."""

    name: str
    weight: Tensor
    bias: Tensor
    stride: int
    padding: int
    groups: int


def read_convolutions(param: Path, binary: Path) -> list[NcnnConvolution]:
    """All convolutions in the order of execution. Raises WeightsRefused for files that are no such pair."""
    rows = list(_graph_rows(param))
    try:
        content = binary.read_bytes()
    except OSError as error:
        raise WeightsRefused(
            f"An ncnn network is two files; {binary.name} cannot be read beside {param.name} ({error.strerror}). "
            "Put both into one folder, under one name."
        ) from error
    layers, offset = [], 0
    for name, settings in rows:
        try:
            layer, offset = _read(name, settings, content, offset)
        except (KeyError, ValueError) as error:
            raise WeightsRefused(
                f"{binary.name} does not hold layer {name} of {param.name}: {error}. Give the two files of one network."
            ) from error
        layers.append(layer)
    if offset != len(content):
        raise WeightsRefused(
            f"{binary.name} has {len(content)} bytes, and the layers of {param.name} take {offset}. Give the two files "
            "of one network."
        )
    return layers


def _graph_rows(param: Path) -> Iterator[tuple[str, dict[int, int]]]:
    """Name and whole-number settings of each convolution."""
    if param.stat().st_size > LARGEST_GRAPH_BYTES:
        raise WeightsRefused(f"{param.name} is larger than any graph (1 MB). Give the .param file of the network.")
    lines = param.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != MAGIC:
        raise WeightsRefused(f"{param.name} is no ncnn graph: its first line is not {MAGIC}. Give the .param file.")
    for number, line in enumerate(lines[2:], start=3):
        words = line.split()
        if not words or words[0] not in CONVOLUTIONS:
            continue
        try:
            _, name, num_inputs, num_outputs, *rest = words
            pairs = [word.split("=", 1) for word in rest[int(num_inputs) + int(num_outputs) :]]
            settings = {int(key): int(value) for key, value in pairs if value.lstrip("-").isdigit()}
        except ValueError as error:
            raise WeightsRefused(f"Line {number} of {param.name} is no ncnn layer: {line[:80]!r}.") from error
        yield name, settings


def _read(name: str, settings: Mapping[int, int], content: bytes, offset: int) -> tuple[NcnnConvolution, int]:
    """The layer that begins at this byte, and where the next one begins. Raises KeyError or ValueError."""
    outputs, kernel, count = settings[OUTPUTS], settings[KERNEL], settings[NUM_WEIGHTS]
    groups, stride = settings.get(GROUPS, 1), settings.get(STRIDE, 1)
    if min(outputs, kernel, count, groups, stride) < 1 or count % (outputs * kernel * kernel):
        raise ValueError(f"{count} weights do not fill {outputs} kernels of {kernel} x {kernel}")
    tag = int(np.frombuffer(content, "<u4", 1, offset)[0])
    if tag not in NUMBERS:
        raise ValueError(f"weights have the tag {tag:#010x}; half and single precision are read")
    weights = np.frombuffer(content, NUMBERS[tag], count, offset + TAG_BYTES)
    offset += TAG_BYTES + (weights.nbytes + 3) // 4 * 4
    bias = torch.zeros(outputs)
    if settings.get(HAS_BIAS) == 1:
        bias = torch.from_numpy(np.frombuffer(content, "<f4", outputs, offset).copy())
        offset += bias.nbytes
    weight = torch.from_numpy(weights.astype(np.float32)).reshape(outputs, -1, kernel, kernel)
    if not (bool(weight.isfinite().all()) and bool(bias.isfinite().all())):
        raise ValueError("it has weights that are not finite")
    return NcnnConvolution(name, weight, bias, stride, settings.get(PADDING, 0), groups), offset
