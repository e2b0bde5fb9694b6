"""COCO and LVIS annotation files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.given import GivenOrMade

if TYPE_CHECKING:
    from crqat_pipeline.detection_data.annotation_file import AnnotationFile
    from crqat_pipeline.detection_data.annotation_records import ReadingRules


class AnnotationsDataset(GivenOrMade["Mapping[str, Any]", "AnnotationFile | None"]):
    """A JSON object in COCO or LVIS layout, gzipped or not.

    load() gives an AnnotationFile: sound records in one spelling, and the faults of the others, which are raised when
    its records are used. reading: fields of FaultyBoxSpec, what is done about faulty boxes.
    images_below: folder, relative to the image folder, that the file's image names begin in. An optional entry that
    nobody names is loaded as None.
    """

    def __init__(
        self,
        *,
        filepath: str | None,
        given: bool = False,
        optional: bool = False,
        reading: dict[str, Any] | None = None,
        images_below: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, given=given, optional=optional, metadata=metadata)
        self._reading = dict(reading or {})
        self._images_below = images_below

    def write(self, data: Mapping[str, Any]) -> None:
        with self.replacing() as temporary:
            temporary.write_text(json.dumps(dict(data), separators=(",", ":")), encoding="utf-8")

    def load(self) -> AnnotationFile | None:
        if self.is_absent:
            return None
        from crqat_pipeline.detection_data.annotation_file import AnnotationFile, read_annotation_columns
        from crqat_pipeline.runtime.json_file import JsonFileError

        path = self.existing_path()
        if path.is_dir():
            raise DatasetError(f"An annotation file must be a JSON file; {path} is a folder. Name the file in it.")
        try:
            content = read_annotation_columns(path)
            moved = content if self._images_below is None else _moved(content, self._images_below)
            return AnnotationFile(moved, str(path), self._rules())
        except JsonFileError as error:
            raise DatasetError(str(error)) from error

    def _rules(self) -> ReadingRules:
        from pydantic import ValidationError

        from crqat_pipeline.detection_data.annotation_records import ReadingRules
        from crqat_pipeline.detection_data.faulty_boxes import FaultyBoxSpec
        from crqat_pipeline.runtime.validation_text import faults_text

        try:
            return ReadingRules(FaultyBoxSpec.model_validate(self._reading))
        except ValidationError as error:
            raise DatasetError(
                f"The catalog describes the reading of {self.path} wrongly: {faults_text(error)}."
            ) from error


def _moved(annotations: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The same records with image names that begin with the folder; what has no name is left to the checks."""
    images = annotations.get("images")
    if not isinstance(images, list):
        return dict(annotations)
    return {**annotations, "images": [_moved_record(image, folder) for image in images]}


def _moved_record(image: Any, folder: str) -> Any:
    is_named = isinstance(image, dict) and "file_name" in image
    return {**image, "file_name": f"{folder}/{image['file_name']}"} if is_named else image
