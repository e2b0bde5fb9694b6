"""The same ranges in the words of single toolchains: TensorRT's calibration cache, RKNN's hybrid quantization.

Neither was run by this project on the vendor's device.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from crqat_pipeline.export.onnx.code_grid import CodeGrid

CACHE_HEADER = "TRT-100300-EntropyCalibration2"
BYTE_REACH = 127


def tensorrt_cache(activations: Mapping[str, CodeGrid]) -> str:
    """A calibration cache: per tensor the bits of a float32, the step of a symmetric int8 with its largest value."""
    lines = [CACHE_HEADER]
    for name, grid in activations.items():
        step = np.float32(max(map(abs, grid.ends)) / BYTE_REACH)
        lines.append(f"{name}: {struct.pack('>f', step).hex()}")
    return "\n".join(lines) + "\n"


def rknn_table(activations: Mapping[str, CodeGrid], float_tensors: Sequence[str]) -> str:
    """Entries of the `.quantization.cfg` that RKNN's hybrid_quantization_step1 writes, to be put in place of its own.

    float_tensors: outputs of layers that the student keeps in floating point.
    """
    lines = [
        "# Of the .quantization.cfg between hybrid_quantization_step1 and _step2: put these in place of its own.",
        "",
    ]
    lines += [
        "custom_quantize_layers:",
        *(f"    {name}: float16" for name in float_tensors),
        "",
        "quantize_parameters:",
    ]
    for name, grid in activations.items():
        low, high = grid.ends
        lines += [
            f"    {name}:",
            "        qtype: asym",
            "        qmethod: layer",
            "        dtype: int8",
            f"        min:\n        - {low!r}",
            f"        max:\n        - {high!r}",
            f"        scale:\n        - {grid.scale!r}",
            f"        zero_point:\n        - {grid.zero_point - 128}",
        ]
    return "\n".join(lines) + "\n"
