"""COCO and LVIS annotation files."""

from __future__ import annotations

import json
from typing import Any

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.given import GivenOrMade
from crqat_pipeline.catalog_io.json_text import read


class AnnotationsDataset(GivenOrMade[dict[str, Any], dict[str, Any]]):
    """A JSON object in COCO or LVIS layout; its content is checked by detection_data, not here."""

    def write(self, data: dict[str, Any]) -> None:
        with self.replacing() as temporary:
            temporary.write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")

    def load(self) -> dict[str, Any]:
        path = self.existing_path()
        if path.is_dir():
            raise DatasetError(f"An annotation file must be a JSON file; {path} is a folder. Name the file in it.")
        data = read(path, "An annotation file")
        if not isinstance(data, dict):
            raise DatasetError(
                f"An annotation file must hold a JSON object with images, annotations and categories; {path} "
                f"holds a {type(data).__name__}."
            )
        return data
