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
