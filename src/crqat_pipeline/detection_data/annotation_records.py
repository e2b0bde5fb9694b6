"""The one reader of annotation records: what fetch_data accepts, training stores and scoring reads.

Harmless spellings become the one of the schema; what is wrong is collected, so that a bad record neither hides another
nor makes one up; faulty boxes are repaired and counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from crqat_pipeline.detection_data.annotation_faults import Fault
from crqat_pipeline.detection_data.annotation_schema import RECORDS, SECTIONS
from crqat_pipeline.detection_data.box_columns import BLOCK, BoxColumns, Boxes, as_given, integers
from crqat_pipeline.detection_data.faulty_boxes import FaultyBoxSpec, area_of, normalized_fault, refusals, sound_boxes
from crqat_pipeline.detection_data.record_spelling import SPELLINGS, shown, whole_number

Record = Mapping[str, Any]

NAMES_SHOWN = 3


@dataclass(frozen=True)
class ReadingRules:
    """boxes: what is done about faulty ones. is_for_scoring: sizes of images, names and annotation ids are not needed,
    every category stays, and boxes are counted as the reference evaluators count them.
    """

    boxes: FaultyBoxSpec = field(default_factory=FaultyBoxSpec)
    is_for_scoring: bool = False


@dataclass(frozen=True)
class ReadRecords:
    """content: the annotation dictionary of sound records; the one given where nothing had to be changed.

    faults: why it must not be used. left_out: reason -> how many and the first, for what was repaired or left out.
    """

    content: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def read_records(content: Mapping[str, Any], rules: ReadingRules | None = None) -> ReadRecords:
    """Read a COCO or LVIS dictionary; it is not changed. Raises nothing: faults are returned."""
    rules = rules or ReadingRules()
    faults: list[Fault] = []
    images, boxes, categories = (_section(content, section, rules, faults) for section in SECTIONS)
    known_images, known_categories = _readable_ids(content, "images"), _readable_ids(content, "categories")
    for records, what in ((images, "image"), (categories, "category")):
        faults += _repeated_ids(records, what)
    faults += _reference_faults(boxes, known_images, known_categories)
    left_out: dict[str, str] = {}
    if not rules.is_for_scoring:
        kept = _without_group(categories, boxes)
        if len(kept) < len(categories):
            gone = [one["name"] for one in categories if one not in kept]
            left_out["super-categories without boxes"] = _counted([repr(name) for name in gone])
            categories = kept
        faults += _repeated_names(categories)
    sizes = {one["id"]: (one["width"], one["height"]) for one in images if "width" in one and "height" in one}
    shares = normalized_fault(boxes, sizes)
    found = sound_boxes(boxes, sizes, rules.boxes, clips=not rules.is_for_scoring)
    stopping = [shares] if shares is not None else refusals(found, len(boxes), rules.boxes)
    faults += stopping
    for kind in dict.fromkeys(fault.kind for fault in found.faults):
        texts = [fault.text for fault in found.faults if fault.kind == kind]
        left_out[kind] = _counted(texts)
    sections = {"images": images, "annotations": found.records, "categories": categories}
    is_same = all(sections[name] is content.get(name) for name in SECTIONS)
    return ReadRecords(content if is_same else {**content, **sections}, tuple(faults), left_out)


def _section(content: Record, section: str, rules: ReadingRules, faults: list[Fault]) -> Any:
    """The sound records of a section; the list itself if all are in the spelling of the schema."""
    rows = content.get(section)
    if not isinstance(rows, list | BoxColumns):
        faults.append(Fault("missing section", f"'{section}' must be a list; got {type(rows).__name__}"))
        return []
    if not rows and section != "annotations":
        faults.append(Fault("empty list", f"'{section}' is empty; at least one record is needed"))
    try:
        for first in range(0, len(rows), BLOCK):
            RECORDS[section].validate_python(rows[first : first + BLOCK])
    except ValidationError:
        read = (_record(row, section, index, rules, faults) for index, row in enumerate(rows))
        return as_given(rows, (record for record in read if record))
    return rows


def _record(row: Any, section: str, index: int, rules: ReadingRules, faults: list[Fault]) -> dict[str, Any] | None:
    """One record in the spelling of the schema, or None with its faults."""
    where = f"{section}[{index}]"
    if not isinstance(row, Mapping):
        faults.append(Fault("malformed record", f"{where} must be an object; got {shown(row)}"))
        return None
    record = dict(row)
    is_sound = True
    for name, spelling in SPELLINGS[section].items():
        value = record.pop(name, None)
        is_needed = spelling.is_required and not (rules.is_for_scoring and name in ("width", "height", "name"))
        if value is None:
            if is_needed:
                state = "is null" if name in row else "is missing"
                faults.append(Fault("malformed record", f"{where}.{name} {state}"))
                is_sound = False
            continue
        try:
            record[name] = spelling.read(value)
        except ValueError as error:
            faults.append(Fault("malformed record", f"{where}.{name} {error}; got {shown(value)}"))
            is_sound = False
    if not is_sound:
        return None
    return _completed(record, index) if section == "annotations" else record


def _completed(record: dict[str, Any], index: int) -> dict[str, Any]:
    """A box with an id and an area: its position, and the area of the box where none is given."""
    record.setdefault("id", index + 1)
    area = record.get("area")
    if area is None or not 0 <= area < math.inf:
        record["area"] = area_of(record.get("bbox"))
    return record


def _readable_ids(content: Record, section: str) -> set[int]:
    """Ids of all records, the malformed ones too: a box of such an image is no second fault."""
    rows = content.get(section)
    ids = set()
    for row in rows if isinstance(rows, list) else ():
        try:
            ids.add(whole_number(row["id"]))
        except (ValueError, TypeError, KeyError):
            continue
    return ids


def _repeated_ids(records: Sequence[Record], what: str) -> Iterator[Fault]:
    for number, count in Counter(record["id"] for record in records).items():
        if count > 1:
            yield Fault("duplicate id", f"{what} id {number} occurs {count} times; ids must be unique")


def _repeated_names(categories: Sequence[Record]) -> Iterator[Fault]:
    """Within one source; phrases of captions may repeat."""
    ids: dict[tuple[str, str], list[int]] = {}
    for category in categories:
        if not category.get("is_phrase"):
            ids.setdefault((category.get("scope", ""), category["name"]), []).append(category["id"])
    for (_, name), several in ids.items():
        if len(set(several)) > 1:
            numbers = ", ".join(map(str, several[:5]))
            text = f"categories {numbers} are all named {name!r}; name each by itself, or join them"
            yield Fault("duplicate name", text)


def _reference_faults(boxes: Boxes, images: set[int], categories: set[int]) -> Iterator[Fault]:
    wrong_M = ~(_is_of(boxes, "image_id", images) & _is_of(boxes, "category_id", categories))
    for row in np.flatnonzero(wrong_M).tolist():
        box = boxes[row]
        if box["image_id"] not in images:
            text = f"annotation {box['id']} is of image {box['image_id']}, which is not in 'images'"
            yield Fault("unknown image", text)
        if box["category_id"] not in categories:
            text = f"annotation {box['id']} is of category {box['category_id']}, which is not in 'categories'"
            yield Fault("unknown category", text)


def _is_of(boxes: Boxes, name: str, known: set[int]) -> NDArray[np.bool_]:
    return np.isin(integers(boxes, name), np.fromiter(known, np.int64, len(known)))


def _without_group(categories: list[dict[str, Any]], boxes: Boxes) -> list[dict[str, Any]]:
    """Without the row that Roboflow writes for the group of all classes: others name it, it has no box and no group."""
    groups = {one.get("supercategory") for one in categories if one.get("supercategory") != one["name"]}
    rows = [one for one in categories if one["name"] in groups and one.get("supercategory") in (None, "", "none")]
    if not rows:
        return categories
    used = set(integers(boxes, "category_id").tolist())
    kept = [one for one in categories if one not in rows or one["id"] in used]
    return kept or categories


def _counted(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NAMES_SHOWN} more" if len(texts) > NAMES_SHOWN else ""
    return f"{len(texts)} ({'; '.join(texts[:NAMES_SHOWN])}{more})"
