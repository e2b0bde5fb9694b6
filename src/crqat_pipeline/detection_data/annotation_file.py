"""An annotation file in memory: its sound records, and what was wrong with the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from sys import intern
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.annotation_records import ReadingRules, ReadRecords, read_records
from crqat_pipeline.detection_data.annotation_schema import SECTIONS
from crqat_pipeline.detection_data.box_columns import BoxColumns
from crqat_pipeline.runtime.json_file import JsonFileError, read_json_file
from crqat_pipeline.runtime.json_sections import Gather, read_json_sections


class AnnotationFile(Mapping[str, Any]):
    """images, annotations and categories of a file as `read_records` gives them, and whatever else the file holds.

    source: the file's name. Looking at the records of a file with faults raises AnnotationError; `records.faults` says
    them without.
    """

    def __init__(self, content: Mapping[str, Any], source: str = "", rules: ReadingRules | None = None) -> None:
        self.source = source
        self.records: ReadRecords = read_records(content, rules)

    @property
    def faults(self) -> tuple[Fault, ...]:
        return self.records.faults

    def __getitem__(self, key: str) -> Any:
        if self.faults:
            raise AnnotationError([fault.of(self.source) for fault in self.faults])
        return self.records.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.records.content)

    def __len__(self) -> int:
        return len(self.records.content)

    def __eq__(self, other: object) -> bool:
        content = other.records.content if isinstance(other, AnnotationFile) else other
        return self.records.content == content

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"AnnotationFile({self.source!r}, {len(self.faults)} faults)"


def is_federated(annotations: Mapping[str, Any]) -> bool:
    """True for LVIS files: images list the categories that are verified absent."""
    images = annotations.get("images")
    return isinstance(images, list) and any(isinstance(one, Mapping) and "neg_category_ids" in one for one in images)


def image_file_name(image: Mapping[str, Any]) -> str:
    """file_name; for COCO and LVIS the folder and name in coco_url ("val2017/000000000139.jpg"), since their files name
    images of several folders.
    """
    if "coco_url" not in image:
        return str(image["file_name"])
    in_folder = "/".join(unquote(urlsplit(str(image["coco_url"])).path).rsplit("/", 2)[1:])
    name = str(image.get("file_name", in_folder))
    return in_folder if in_folder.endswith(f"/{name}") else name


def without_mask(record: dict[str, Any]) -> dict[str, Any]:
    """A hook for JSON: masks take most of a file's memory, and nothing here reads them."""
    record.pop("segmentation", None)
    return record


def read_json_annotations(path: str | Path) -> dict[str, Any]:
    """The dictionary of an annotation file, without masks, its records as they are written.

    Raises ValueError if it is not JSON, or not COCO- or LVIS-like.
    """
    return _checked(read_json_file(path, "An annotation file", without_mask), path)


def _checked(content: Any, path: str | Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise JsonFileError(
            f"An annotation file must hold an object with {', '.join(SECTIONS)}; {path} holds a "
            f"{type(content).__name__}. Give the annotations, not the detections."
        )
    return content


def read_annotation_sections(path: str | Path, gather: Gather) -> dict[str, Any]:
    """As `read_json_annotations`, with the same errors, read piece by piece. gather: section -> how it is kept."""
    return _checked(read_json_sections(path, gather, "An annotation file", without_mask), path)


def read_annotation_columns(path: str | Path) -> dict[str, Any]:
    """As `read_json_annotations`, with the same errors; its boxes are columns, and the file is read piece by piece."""
    return read_annotation_sections(path, GATHER)


def _with_shared_keys(records: Iterable[Any]) -> list[Any]:
    """Records that are decoded one by one have texts of their own for the same keys."""
    return [{intern(key): value for key, value in one.items()} if type(one) is dict else one for one in records]


GATHER: Gather = MappingProxyType({"images": _with_shared_keys, "annotations": BoxColumns})
"""Section -> how its records are kept; other lists are lists."""
