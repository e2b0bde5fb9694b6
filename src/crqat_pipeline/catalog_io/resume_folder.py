"""Where a training stage keeps its resumable checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.local_file import LocalFile


class ResumeFolder(LocalFile[Any, Path]):
    """load() makes the folder and returns its path. DVC does not know it, so it survives a killed stage."""

    def load(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path

    def save(self, data: Any) -> None:
        raise DatasetError(f"{self.path} is written by the training loop, step by step; no node returns it.")
