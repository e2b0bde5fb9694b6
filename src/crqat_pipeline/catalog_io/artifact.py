"""A deliverable that its own writer puts on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crqat_pipeline.catalog_io.local_file import LocalFile


class ArtifactFile(LocalFile[Callable[[Path], object], Path]):
    """save(writer) calls writer(temporary path) and moves the result into place; load() returns the path."""

    def save(self, data: Callable[[Path], object]) -> None:
        with self.replacing() as temporary:
            data(temporary)

    def load(self) -> Path:
        return self.existing_path()

    def marked(self, mark: str) -> ArtifactFile:
        """The same entry under a name with this mark: crqat.int4.safetensors as crqat.<mark>.safetensors, crqat.onnx as
        crqat.<mark>.onnx.
        """
        path = self._filepath
        stem = path.stem.partition(".")[0]
        return ArtifactFile(filepath=str(path.with_name(f"{stem}.{mark}{path.suffix}")), metadata=self.metadata)
