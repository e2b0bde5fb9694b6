"""Weights with the facts that rebuild their model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.local_file import LocalFile

if TYPE_CHECKING:
    from crqat_pipeline.structures.checkpoint import Checkpoint


class SafetensorsCheckpoint(LocalFile["Checkpoint", "Checkpoint"]):
    """structures.Checkpoint: tensors as safetensors, metadata as JSON in the file's header."""

    def save(self, data: Checkpoint) -> None:
        from crqat_pipeline.model_files import write_checkpoint

        with self.replacing() as temporary:
            write_checkpoint(temporary, data)

    def load(self) -> Checkpoint:
        from crqat_pipeline.model_files import read_checkpoint

        path = self.existing_path()
        try:
            return read_checkpoint(path)
        except ValueError as error:
            raise DatasetError(
                f"{error} Restore it (dvc checkout), or remove it and run the pipeline that makes it again."
            ) from error
