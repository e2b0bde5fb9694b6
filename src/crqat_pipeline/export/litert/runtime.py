"""Run a LiteRT file here: the interpreter of ai-edge-litert with XNNPACK, on the CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

import numpy as np

PACKAGE = "ai_edge_litert"
SIGNATURE = "serving_default"
IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every file."""

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def require_litert() -> None:
    """Raises ValueError that names the extra if the package is missing: it has the file format and the interpreter."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise ValueError(
            "LiteRT files need the package ai-edge-litert, which cannot be found. Install the extra: pip install "
            "'crqat-pipeline[litert]'."
        )


def open_litert(content: bytes, num_threads: int = 1) -> Run:
    """From images (B, 3, H, W) to outputs by name. Raises ValueError for content that the interpreter refuses."""
    require_litert()
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=content, num_threads=num_threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"LiteRT does not open this file: {error}. Copy or export it again.") from error
    runner = interpreter.get_signature_runner(SIGNATURE)

    def run(images_B3HW: np.ndarray) -> Mapping[str, np.ndarray]:
        outputs: Mapping[str, np.ndarray] = runner(images=np.ascontiguousarray(images_B3HW.transpose(0, 2, 3, 1)))
        return outputs

    return run


def metadata_of(content: bytes, key: str) -> str | None:
    """The text stored under this key in a file, None without."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == key.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy()).decode()
    return None


def image_sides(content: bytes) -> tuple[int, int, int]:
    """Images per call, height and width of a file's input."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    images = graph.Tensors(graph.Inputs(0))
    return images.Shape(0), images.Shape(1), images.Shape(2)
