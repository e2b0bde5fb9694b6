"""Which files a stage read, by the same md5 that DVC writes into dvc.lock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

DIGEST_TAG = "file_md5"
"""By which what a run made is found again from a file, in this clone or another: dvc.lock has the same."""
OUTPUT_TAG = "md5."
"""Begins the tags of a run that wrote files of metrics: their md5 by the names of their entries."""

CONTEXTS: Mapping[str, str] = MappingProxyType(
    {
        "train_annotations": "training",
        "train_set": "training",
        "qat_annotations": "training",
        "qat_set": "training",
        "calibration_set": "calibration",
        "val_annotations": "evaluation",
        "val_annotations_lvis": "evaluation",
        "val_set": "evaluation",
    }
)
"""Entry of the catalog -> what data is for, as MLflow's pages show it; other inputs show the stage that reads them."""


def md5(path: Path) -> str:
    """Of a file; one that many stages of a process read is read once for it."""
    found = path.stat()
    return _md5(path.absolute(), found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1024)
def _md5(path: Path, inode: int, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


class FileDataset(MetaDataset):
    """A file as a dataset of `mlflow.data`: where it is, its md5, and for tables their columns and numbers."""

    def __init__(self, name: str, path: Path) -> None:
        self._facts = _table_facts(path)
        super().__init__(resolve_dataset_source(path.absolute().as_posix()), name, md5(path))

    @property
    def profile(self) -> dict[str, Any] | None:
        return self._facts or None

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), **({"profile": json.dumps(self._facts)} if self._facts else {})}


def _table_facts(path: Path) -> dict[str, Any]:
    """Of a Parquet file, from its last bytes; nothing of others."""
    if path.suffix != ".parquet":
        return {}
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(path)
    except (OSError, ValueError):  # what is no table says so to the stage that reads it
        return {}
    return {"num_rows": table.metadata.num_rows, "columns": ", ".join(table.schema_arrow.names)}


def input_digests(names: Iterable[str], catalog: Any, stage: str) -> Iterator[DatasetInput]:
    """MLflow's record of each input that is one file on disk; folders and values in memory are left out."""
    for name in names:
        path = Path(str(getattr(catalog.get(name), "_filepath", None) or ""))
        if path.is_file():
            dataset = FileDataset(name, path)._to_mlflow_entity()
            yield DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, CONTEXTS.get(name, stage))])


def output_tags(name: str, dataset: Any) -> dict[str, str]:
    """By which the run of a file of metrics is found, from the md5 that dvc.lock has of it."""
    path = Path(str(getattr(dataset, "_filepath", None) or ""))
    return {f"{OUTPUT_TAG}{name}": md5(path)} if path.is_file() else {}
