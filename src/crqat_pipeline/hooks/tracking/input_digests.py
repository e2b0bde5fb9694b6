"""Which files a stage read, by the same md5 that DVC writes into dvc.lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag

DIGEST_TAG = "file_md5"
"""By which what a run made is found again from a file, in this clone or another: dvc.lock has the same."""


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


def output_tags(name: str, dataset: Any) -> dict[str, str]:
    """By which the run of a file of metrics is found, from the md5 that dvc.lock has of it."""
    path = Path(str(getattr(dataset, "_filepath", None) or ""))
    return {f"md5.{name}": md5(path)} if path.is_file() else {}
