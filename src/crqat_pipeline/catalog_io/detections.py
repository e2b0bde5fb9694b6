"""Detections of every form on every benchmark, compressed: millions of rows of 56 bytes in about 10 bytes each."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.local_file import LocalFile

if TYPE_CHECKING:
    from crqat_pipeline.evaluation.detection_table import DetectionTable

TABLES = "tables"


class DetectionsDataset(LocalFile["Mapping[str, DetectionTable]", "dict[str, DetectionTable]"]):
    """{name: DetectionTable} in one compressed .npz; array `coco/teacher/scores_M` is a column of `coco/teacher`.

    The array `tables` lists the names in order. The same detections give the same bytes.
    """

    def save(self, data: Mapping[str, DetectionTable]) -> None:
        import numpy as np

        arrays: dict[str, Any] = {
            f"{name}/{field.name}": getattr(table, field.name)
            for name, table in data.items()
            for field in fields(table)
        }
        with self.replacing() as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **{TABLES: np.array(list(data), np.str_)} | arrays)

    def load(self) -> dict[str, DetectionTable]:
        import numpy as np

        from crqat_pipeline.evaluation.detection_table import DetectionTable

        path = self.existing_path()
        columns = [field.name for field in fields(DetectionTable)]
        try:
            with np.load(path, allow_pickle=False) as file:
                return {
                    str(name): DetectionTable(**{column: file[f"{name}/{column}"] for column in columns})
                    for name in file[TABLES]
                }
        except (OSError, EOFError, KeyError, ValueError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
            raise DatasetError(
                f"A detections file must be a whole .npz with the columns {', '.join(columns)} of every table; {path} "
                f"({path.stat().st_size} bytes) is not: {error}. Make it again: kedro run --pipelines=evaluation."
            ) from error
