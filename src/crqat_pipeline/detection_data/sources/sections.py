"""Sections of a published file, read record by record: what is kept of each, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.annotation_file import image_file_name, read_annotation_sections
from crqat_pipeline.detection_data.annotation_schema import LARGEST_ID
from crqat_pipeline.detection_data.record_spelling import shown, whole_number

Record = dict[str, Any]

NOBODY = -1
"""An id that no image and no category has."""


@dataclass(frozen=True)
class Section:
    """needed: fields that every record has. keep: what is kept of one; it raises ValueError with the rule alone.

    gather: how the kept ones are held.
    """

    needed: tuple[str, ...]
    keep: Callable[[Record], Record] = dict
    gather: Callable[[Iterable[Record]], Any] = list


def read_sections(source: str, path: Path, sections: Mapping[str, Section]) -> dict[str, Any]:
    """Section -> its kept records. A file of any size is read without all of it in memory.

    Raises ValueError for a file that is not there or no JSON, AnnotationError for sections that are missing or empty,
    and with every record that lacks a field, or whose id is no number from 0.
    """
    readers = {name: partial(_Rows, source, name, section) for name, section in sections.items()}
    content = read_annotation_sections(path, readers)
    read = {}
    for name, reader in readers.items():
        rows = content.get(name)
        rows = reader(rows) if isinstance(rows, list) else rows
        if not isinstance(rows, _Rows) or not rows.count:
            got = "a list of 0" if isinstance(rows, _Rows) else type(rows).__name__
            text = f"{source}: '{name}' must be a list of records; got {got}"
            raise AnnotationError([Fault("missing section", text)])
        if rows.no_object is not None:
            raise AnnotationError([rows.no_object])
        read[name] = rows
    for rows in read.values():
        if rows.faults:
            raise AnnotationError(rows.faults)
    return {name: rows.records for name, rows in read.items()}


class _Rows:
    """The kept records of one section. no_object: the first that is none. faults: of all others."""

    def __init__(self, source: str, name: str, section: Section, rows: Iterable[Any]) -> None:
        self.count = 0
        self.no_object: Fault | None = None
        self.faults: list[Fault] = []
        self._where = f"{source}: {name}"
        self.records: Any = section.gather(self._kept(section, rows))

    def _kept(self, section: Section, rows: Iterable[Any]) -> Iterator[Record]:
        needed = frozenset(section.needed)
        for index, row in enumerate(rows):
            self.count += 1
            if type(row) is not dict:
                self.no_object = self.no_object or self._fault(index, f" must be an object; got {type(row).__name__}")
                continue
            is_whole = needed <= row.keys()
            if not is_whole:
                self.faults.append(self._fault(index, f" lacks {', '.join(sorted(needed - row.keys()))}"))
            if "id" in row and (rule := _id_rule(row["id"])):
                self.faults.append(self._fault(index, f".id must be {rule}; got {row['id']!r:.40}"))
            elif is_whole:
                try:
                    yield section.keep(row)
                except ValueError as error:
                    self.faults.append(self._fault(index, str(error)))

    def _fault(self, index: int, text: str) -> Fault:
        return Fault("malformed record", f"{self._where}[{index}]{text}")


def _id_rule(value: Any) -> str | None:
    """What an id breaks; None for a good one."""
    if type(value) is not int or value < 0:
        return "an integer from 0"
    return None if value <= LARGEST_ID else f"an integer up to {LARGEST_ID}"


def kept_image(image: Record) -> Record:
    """id, name and size."""
    if "file_name" not in image and "coco_url" not in image:
        raise ValueError(" lacks file_name")
    width, height = (_side(image, name) for name in ("width", "height"))
    return {"id": image["id"], "file_name": image_file_name(image), "width": width, "height": height}


def kept_box(box: Record) -> Record:
    """Ids, box and crowd mark. A reference that is no whole number is to nobody."""
    return {
        "id": box["id"],
        "image_id": referred(box["image_id"]),
        "category_id": referred(box["category_id"]),
        "bbox": box["bbox"],
        "iscrowd": box.get("iscrowd", 0),
    }


def referred(number: Any) -> int:
    """The id that a record refers to, or NOBODY."""
    if type(number) is int or type(number) is bool or (type(number) is float and number.is_integer()):
        return int(number) if 0 <= number <= LARGEST_ID else NOBODY
    return NOBODY


def _side(image: Record, name: str) -> int | float:
    side = image[name]
    try:
        return side if type(side) in (int, float) else whole_number(side)
    except ValueError as error:
        raise ValueError(f".{name} {error}; got {shown(side)}") from error
