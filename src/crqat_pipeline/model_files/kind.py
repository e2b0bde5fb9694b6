"""What kind of model file a path is, by its suffix and by what its own header says."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from crqat_pipeline.model_files.checkpoint_file import FORMAT_NAME as CHECKPOINT
from crqat_pipeline.model_files.packed.header import FORMAT_NAME as PACKED
from crqat_pipeline.runtime.bounded_json import parse_json
from crqat_pipeline.runtime.tensor_file import FORMAT_KEY, HEADER_KEY

ONNX, LITERT, NCNN = "onnx", "tflite", "ncnn"
SUFFIXES = MappingProxyType({".onnx": ONNX, ".tflite": LITERT, ".param": NCNN})
MAX_HEADER_BYTES = 100_000_000

__all__ = ["CHECKPOINT", "LITERT", "NCNN", "ONNX", "PACKED", "kind_of"]


def kind_of(path: Path) -> str:
    """A kind of SUFFIXES, CHECKPOINT or the format name in the file's own header. Raises ValueError for others."""
    if path.suffix in SUFFIXES:
        return SUFFIXES[path.suffix]
    if path.suffix != ".safetensors":
        raise ValueError(
            f"Models are .safetensors (checkpoint, packed int4), .onnx, .tflite or .param files; got {path.name!r}. "
            "Foreign weights: `crqat weights FILE --out X.safetensors`."
        )
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            container = parse_json(file.read(length) if length <= MAX_HEADER_BYTES else b"")
        facts = parse_json(container.get("__metadata__", {}).get(HEADER_KEY, "{}"))
        kind = facts.get(FORMAT_KEY, CHECKPOINT)
    except (ValueError, AttributeError, TypeError) as error:
        reason = error if isinstance(error, ValueError) else "what should be a JSON object is none."
        raise ValueError(
            f"{path} is not a whole safetensors file with the header of a model: {reason} Copy it again."
        ) from error
    return str(kind)[:100]
