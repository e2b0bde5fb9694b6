"""What every file dataset shares: a path on this machine, written whole or not at all."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from kedro.io import AbstractDataset, DatasetError

from crqat_pipeline.runtime.atomic import atomic_path

LAYER = re.compile(r"\d\d_\w+")
"""A folder of data/: 01_raw … 08_reporting. Kedro-Viz draws entries of one folder in one band."""

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class LocalFile(AbstractDataset[Saved, Loaded]):
    """One file (or folder) at `filepath`. metadata: what DVC, MLflow and Kedro-Viz do with it; Kedro ignores it.

    The layer of Kedro-Viz is the folder, unless the metadata name another.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = PurePosixPath(filepath)
        self.metadata = _with_layer(metadata, self._filepath)

    @property
    def path(self) -> Path:
        return Path(self._filepath)

    def existing_path(self) -> Path:
        """The path; raises DatasetError when nothing is there yet."""
        if not self.path.exists():
            raise DatasetError(
                f"{self.path} must exist before it is read, and does not. Run the pipeline that makes it "
                "(kedro registry list names them), or all of them: kedro run --pipelines=crqat_full."
            )
        return self.path

    def replacing(self) -> AbstractContextManager[Path]:
        """A temporary path that replaces the file when the `with` block ends well."""
        return atomic_path(self.path)

    def _exists(self) -> bool:
        return self.path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def _with_layer(metadata: dict[str, Any] | None, path: PurePosixPath) -> dict[str, Any] | None:
    layer = next((part for part in path.parts if LAYER.fullmatch(part)), None)
    return metadata if layer is None else {"kedro-viz": {"layer": layer}, **(metadata or {})}
