"""Detections of every form on every benchmark, as columns: millions of rows, 56 bytes each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.catalog_io.tensor_file import read, write

if TYPE_CHECKING:
    from crqat_pipeline.evaluation.detection_table import DetectionTable


class DetectionsDataset(LocalFile["Mapping[str, DetectionTable]", "dict[str, DetectionTable]"]):
    """{name: DetectionTable} in one safetensors file; tensor `coco/teacher/scores_M` is a column of `coco/teacher`."""

    def save(self, data: Mapping[str, DetectionTable]) -> None:
        import torch

        tensors = {
            f"{name}/{field.name}": torch.from_numpy(getattr(table, field.name))
            for name, table in data.items()
            for field in fields(table)
        }
        with self.replacing() as temporary:
            write(temporary, tensors, {"tables": list(data)})

    def load(self) -> dict[str, DetectionTable]:
        from crqat_pipeline.evaluation.detection_table import DetectionTable

        path = self.existing_path()
        tensors, header = read(path, "A detections file")
        columns = [field.name for field in fields(DetectionTable)]
        try:
            return {
                name: DetectionTable(**{column: tensors[f"{name}/{column}"].numpy() for column in columns})
                for name in header["tables"]
            }
        except KeyError as error:
            raise DatasetError(
                f"A detections file needs the columns {', '.join(columns)} of every table; {path} lacks {error}. "
                "Make it again: kedro run --pipelines=evaluation."
            ) from error
