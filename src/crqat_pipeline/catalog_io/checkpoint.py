"""Weights with the facts that rebuild their model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.catalog_io.tensor_file import read, write

if TYPE_CHECKING:
    from crqat_pipeline.structures.checkpoint import Checkpoint


class SafetensorsCheckpoint(LocalFile["Checkpoint", "Checkpoint"]):
    """structures.Checkpoint: tensors as safetensors, metadata as JSON in the file's header."""

    def save(self, data: Checkpoint) -> None:
        with self.replacing() as temporary:
            write(temporary, data.tensors, data.metadata)

    def load(self) -> Checkpoint:
        from crqat_pipeline.structures.checkpoint import Checkpoint

        return Checkpoint(*read(self.existing_path(), "A checkpoint"))
