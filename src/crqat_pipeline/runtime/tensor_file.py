"""Safetensors with one JSON entry in the header and a digest over both: read whole or not at all. Never pickle.

The same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from crqat_pipeline.runtime.bounded_json import parse_json

HEADER_KEY = "crqat"
"""The one key of the header: safetensors writes several in random order, which would change the file's checksum."""
DIGEST_KEY, FORMAT_KEY, VERSION_KEY = "sha256", "format", "format_version"
_OS_ERROR = re.compile(r"os error (\d+)")
log = logging.getLogger(__name__)


class TensorFileError(ValueError):
    """A file that cannot be read as tensors with a JSON header; the message names it and the way out."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write to `path`, tensors on the CPU, the digest added to the header."""
    owned = _own_memory(tensors)
    facts = {**header, DIGEST_KEY: content_sha256(owned, header)}
    save_tensors(path, owned, {HEADER_KEY: as_json(facts)})


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """safetensors' own save_file, whose errors of the system (a full disk) are OSErrors here."""
    try:
        save_file(dict(tensors), path, metadata=dict(metadata))
    except SafetensorError as error:
        number = _OS_ERROR.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (mapped from the file) and header without its digest, which was right.

    A file of an earlier version has no format and no digest; it is read, and the log says so. Raises TensorFileError
    for a file that is not whole, that changed since it was written, or whose header is no JSON object.
    """
    tensors, header = open_tensors(path)
    expected = header.pop(DIGEST_KEY, None)
    if expected is None and not {FORMAT_KEY, VERSION_KEY} & set(header):
        log.info("%s was written before files had checksums: whether it changed since cannot be told.", path)
        return tensors, header
    check_digest(path, tensors, header, expected)
    return tensors, header


def open_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header as they stand in the file, unchecked. Raises TensorFileError for a file that is not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            stored = (file.metadata() or {}).get(HEADER_KEY, "{}")
    except FileNotFoundError:
        raise TensorFileError(f"No file {path}. Check the path.") from None
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise TensorFileError(
            f"{path} ({path.stat().st_size} bytes) is not a whole safetensors file: {error}. Copy it or make it again."
        ) from error
    try:
        header = parse_json(stored)
    except ValueError as error:
        raise TensorFileError(f"The header of {path} is damaged: {error} Copy the file or make it again.") from error
    if not isinstance(header, dict):
        raise TensorFileError(
            f"The header {HEADER_KEY!r} of {path} must be a JSON object; it is {stored[:40]!r}. Make the file again."
        )
    return tensors, header


def check_digest(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], expected: object) -> None:
    """Raises TensorFileError unless tensors and header (without its digest) are those that `expected` was made of."""
    found = content_sha256(tensors, header)
    if found != expected:
        raise TensorFileError(
            f"{path} was altered: its content has checksum {found[:16]}…, its header says {str(expected)[:16]}…. "
            "Copy it again from where it was whole, or make it again."
        )


def content_sha256(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """Over the header (without its own digest) and every tensor's name, dtype, shape and bytes, by name."""
    digest = hashlib.sha256(as_json({key: value for key, value in header.items() if key != DIGEST_KEY}).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def as_json(header: Mapping[str, Any]) -> str:
    """The text that is stored and that the digest covers: keys in order, separators ", " and ": ", UTF-8."""
    return json.dumps(header, sort_keys=True, ensure_ascii=False)


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
