"""Safetensors with one JSON entry in the header: read whole or not at all, the same content gives the same bytes.

Never pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

HEADER_KEY = "crqat"
"""The one key of the header: safetensors writes several in random order, which would change the file's checksum."""


class TensorFileError(ValueError):
    """A file that cannot be read as tensors with a JSON header; the message names it and the way out."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write to `path`, tensors on the CPU and in the order of their names."""
    save_file(_own_memory(tensors), path, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (mapped lazily from the file) and header. Raises TensorFileError for a file that is not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            header: dict[str, Any] = json.loads((file.metadata() or {}).get(HEADER_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise TensorFileError(
            f"{path} ({path.stat().st_size} bytes) is not a whole safetensors file: {error}. Copy it or make it again."
        ) from error
    return tensors, header


def _own_memory(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU that share no memory, as safetensors demands (tied weights are written twice)."""
    seen: set[int] = set()
    owned: dict[str, Tensor] = {}
    for name, tensor in sorted(tensors.items()):
        value = tensor.detach().to("cpu").contiguous()
        storage = value.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != value.nbytes:
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        owned[name] = value
    return owned
