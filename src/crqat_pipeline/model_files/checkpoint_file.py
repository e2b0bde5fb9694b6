"""Checkpoints on disk: a state dict as safetensors, the facts that rebuild its model as JSON in the header."""

from __future__ import annotations

from pathlib import Path

from crqat_pipeline.runtime.tensor_file import read_tensors, write_tensors
from crqat_pipeline.structures.checkpoint import Checkpoint


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write to `path`; the same checkpoint gives the same bytes. Wrap it in atomic_path for a file in use."""
    write_tensors(path, checkpoint.tensors, checkpoint.metadata)


def read_checkpoint(path: Path) -> Checkpoint:
    """Tensors and metadata. Raises ValueError for a file that is not a whole one."""
    return Checkpoint(*read_tensors(path))
