"""Files that a study keeps: checkpoints and rows, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.checkpoint import Checkpoint

HEADER_KEY = "crqat"


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Tensors, with the metadata as JSON in the header."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in checkpoint.tensors.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={HEADER_KEY: json.dumps(dict(checkpoint.metadata))})


def read_checkpoint(path: Path) -> Checkpoint:
    """What write_checkpoint wrote."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return Checkpoint(tensors, json.loads(file.metadata()[HEADER_KEY]))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
