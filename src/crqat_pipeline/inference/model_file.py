"""From a file to a model in memory, by what the file says it is.

READERS: kind of file -> reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from crqat_pipeline.export.packed import read_packed
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.inference.runnable import Runnable
from crqat_pipeline.inference.torch_model import checkpoint_model, packed_model, read_checkpoint
from crqat_pipeline.runtime.lookup import look_up

Reader = Callable[[Path, torch.device], Runnable]
PACKED_KIND = "crqat-packed-int4"
MAX_HEADER_BYTES = 100_000_000

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "checkpoint": lambda path, device: checkpoint_model(read_checkpoint(path), device),
        PACKED_KIND: lambda path, device: packed_model(read_packed(path), device),
        "onnx": lambda path, device: OnnxModel(path),
    }
)


def open_model(path: Path, device: torch.device | str = "cpu") -> Runnable:
    """The model of a file; ONNX models run on the CPU whatever the device.

    Raises ValueError that says what the file is and what to do with it.
    """
    if not path.is_file():
        raise ValueError(f"No model file {path}. Check the path.")
    return look_up(READERS, kind_of(path), "kind of model file")(path, torch.device(device))


def kind_of(path: Path) -> str:
    """ "onnx", "checkpoint" or the format name in the file's own header. Raises ValueError for other suffixes."""
    if path.suffix == ".onnx":
        return "onnx"
    if path.suffix != ".safetensors":
        raise ValueError(
            f"Models are .safetensors (checkpoint, packed int4) or .onnx files; got {path.name!r}. Foreign weights: "
            "`crqat weights FILE --out X.safetensors`."
        )
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= MAX_HEADER_BYTES else b""
    try:
        facts = json.loads(json.loads(header).get("__metadata__", {}).get("crqat", "{}"))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}. Copy it again.") from error
    return str(facts.get("format", "checkpoint"))
