"""Which files a stage read, by the same md5 that DVC writes into dvc.lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def input_digests(names: Iterable[str], catalog: Any, stage: str) -> Iterator[DatasetInput]:
    """MLflow's record of each input that is one file on disk; folders and values in memory are left out."""
    for name in names:
        path = Path(str(getattr(catalog.get(name), "_filepath", None) or ""))
        if path.is_file():
            yield DatasetInput(
                Dataset(name=name, digest=md5(path), source_type="local", source=f'{{"uri": "{path.as_posix()}"}}'),
                [InputTag("mlflow.data.context", stage)],
            )
