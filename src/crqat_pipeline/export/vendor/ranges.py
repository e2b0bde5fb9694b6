"""The ranges of a graph's tensors as AIMET states them (JSON encodings, which QNN reads too), and read back.

    value = (code + offset) * scale, codes 0 … 2^bits - 1; a symmetric offset is -2^(bits - 1).

Shape letters: O output channels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crqat_pipeline.export.onnx.code_grid import CodeGrid
from crqat_pipeline.export.onnx.emission import WeightGrid

VERSION = "0.6.1"
"""Of the encodings; the one that every release of AIMET and QNN reads."""


@dataclass(frozen=True)
class Ranges:
    """activations: tensor -> its grid. weights: stored tensor -> signed bits and scale per output channel (axis 0)."""

    activations: Mapping[str, CodeGrid]
    weights: Mapping[str, WeightGrid]


def to_aimet(ranges: Ranges) -> dict[str, Any]:
    """Every scale is the float32 of the student; min and max follow from it."""
    return {
        "version": VERSION,
        "activation_encodings": {name: [_activation(grid)] for name, grid in ranges.activations.items()},
        "param_encodings": {
            name: [_weight(float(scale), grid.bits) for scale in grid.scale_O.tolist()]
            for name, grid in ranges.weights.items()
        },
    }


def activations_of(path: Path) -> dict[str, CodeGrid]:
    """The grids of an encodings file. Raises ValueError for a file of another form."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["activation_encodings"]
        return {
            name: CodeGrid(float(np.float32(entry["scale"])), -int(entry["offset"]), (1 << int(entry["bitwidth"])) - 1)
            for name, (entry,) in entries.items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no encodings of version {VERSION}: {error!r}. Export it again.") from error


def weight_scales_of(path: Path) -> dict[str, np.ndarray]:
    """Scales (O,) of the stored weights of an encodings file."""
    entries = json.loads(path.read_text(encoding="utf-8"))["param_encodings"]
    return {name: np.asarray([entry["scale"] for entry in rows], np.float32) for name, rows in entries.items()}


def _activation(grid: CodeGrid) -> dict[str, Any]:
    bits = grid.max_code.bit_length()
    return {
        "bitwidth": bits,
        "dtype": "int",
        "is_symmetric": "False",
        "min": -grid.zero_point * grid.scale,
        "max": (grid.max_code - grid.zero_point) * grid.scale,
        "offset": -grid.zero_point,
        "scale": grid.scale,
    }


def _weight(scale: float, bits: int) -> dict[str, Any]:
    half = 1 << (bits - 1)
    return {
        "bitwidth": bits,
        "dtype": "int",
        "is_symmetric": "True",
        "min": -half * scale,
        "max": (half - 1) * scale,
        "offset": -half,
        "scale": scale,
    }
