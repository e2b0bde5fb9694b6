"""What a stage sees of a data set: images, boxes, categories."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.json_text import read
from crqat_pipeline.catalog_io.local_file import LocalFile

if TYPE_CHECKING:
    from crqat_pipeline.detection_data.prepared_split import PreparedSplit


class PreparedSplitDataset(LocalFile["PreparedSplit", "PreparedSplit"]):
    """detection_data.PreparedSplit as JSON."""

    def save(self, data: PreparedSplit) -> None:
        text = json.dumps(data.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
        with self.replacing() as temporary:
            temporary.write_text(text, encoding="utf-8")

    def load(self) -> PreparedSplit:
        from pydantic import ValidationError

        from crqat_pipeline.detection_data.prepared_split import PreparedSplit

        path = self.existing_path()
        record = read(path, "A prepared split")
        try:
            return PreparedSplit.model_validate(record)
        except ValidationError as error:
            raise DatasetError(
                f"{path} is not a prepared split ({error.error_count()} faults, first: {error.errors()[0]['msg']}). "
                "Make it again: kedro run --pipelines=data_prep."
            ) from error
