"""What kind of model file a path is, by its suffix and by what its own header says."""

from __future__ import annotations

import json
from pathlib import Path

from crqat_pipeline.model_files.packed.header import FORMAT_NAME as PACKED
from crqat_pipeline.runtime.tensor_file import HEADER_KEY

CHECKPOINT, ONNX = "checkpoint", "onnx"
MAX_HEADER_BYTES = 100_000_000

__all__ = ["CHECKPOINT", "ONNX", "PACKED", "kind_of"]


def kind_of(path: Path) -> str:
    """ONNX, CHECKPOINT or the format name in the file's own header. Raises ValueError for other suffixes."""
    if path.suffix == ".onnx":
        return ONNX
    if path.suffix != ".safetensors":
        raise ValueError(
            f"Models are .safetensors (checkpoint, packed int4) or .onnx files; got {path.name!r}. Foreign weights: "
            "`crqat weights FILE --out X.safetensors`."
        )
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= MAX_HEADER_BYTES else b""
    try:
        facts = json.loads(json.loads(header).get("__metadata__", {}).get(HEADER_KEY, "{}"))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}. Copy it again.") from error
    return str(facts.get("format", CHECKPOINT))
