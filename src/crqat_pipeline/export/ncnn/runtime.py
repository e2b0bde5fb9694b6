"""Run ncnn files here: the binding of the package ncnn, on the CPU, in floating point of 32 bits beside int8."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

PACKAGE = "ncnn"
INPUT = "images"
FILES = ("model.param", "model.bin", "model.json")
"""Of a network: its layers, its numbers, and what this project says of it."""

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def require_ncnn() -> None:
    """Raises ValueError that names the extra if the package is missing."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise ValueError(
            "ncnn files need the package ncnn, which cannot be found. Install the extra: pip install "
            "'crqat-pipeline[ncnn]'."
        )


def open_ncnn(text: str, stored: bytes, outputs: Mapping[str, str], num_threads: int = 1) -> Run:
    """From images (1, 3, H, W) to outputs with their batch axis. outputs: wished name -> blob.

    Raises ValueError for files that ncnn refuses, and for a blob that it does not compute.
    """
    require_ncnn()
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = num_threads
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as name:
        files = Path(name) / "model.param", Path(name) / "model.bin"
        files[0].write_text(text, encoding="utf-8")
        files[1].write_bytes(stored)
        if net.load_param(str(files[0])) or net.load_model(str(files[1])):
            raise ValueError("ncnn does not open these files. Copy or export them again.")

    def run(images_13HW: np.ndarray) -> Mapping[str, np.ndarray]:
        image_3HW = np.ascontiguousarray(images_13HW[0], np.float32)  # the Mat below does not keep it alive
        extractor = net.create_extractor()
        extractor.input(INPUT, ncnn.Mat(image_3HW).clone())
        found = {}
        for wished, blob in outputs.items():
            status, values = extractor.extract(blob)
            if status:
                raise ValueError(f"ncnn does not compute {wished!r} (status {status}). Export the files again.")
            found[wished] = np.array(values)[None]
        return found

    return run


def image_sides(text: str) -> tuple[int, int]:
    """Height and width of a network's input."""
    line = next(line for line in text.splitlines() if line.startswith("Input "))
    sides = dict(piece.split("=") for piece in line.split() if "=" in piece)
    return int(sides["1"]), int(sides["0"])
