"""Safetensors with one JSON entry in the header. Never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import DatasetError

if TYPE_CHECKING:
    from torch import Tensor

HEADER_KEY = "crqat"
"""The one key of the header: safetensors writes several in random order, which would change the file's checksum."""


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


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write to `path`; the same tensors and header give the same bytes."""
    from safetensors.torch import save_file

    save_file(_own_memory(tensors), path, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)})


def read(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (mapped lazily from the file) and header; raises DatasetError for a file that is not whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            header = json.loads((file.metadata() or {}).get(HEADER_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise DatasetError(
            f"{what} must be a whole safetensors file; {path} ({path.stat().st_size} bytes) cannot be read: {error}. "
            "Restore it (dvc checkout), or remove it and run the pipeline that makes it again."
        ) from error
    return tensors, header
