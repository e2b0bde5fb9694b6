"""Sections of a published file, and what is done about boxes that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.sources.source_files import SourceFiles

Record = dict[str, Any]

TOLERANCE_PX = 1.0
SHOWN = 3


@dataclass
class SourceRecords:
    """One source in COCO's records; ids are those of its file. left_out: reason -> first offenders and count."""

    images: list[Record]
    annotations: list[Record]
    categories: list[Record]
    left_out: dict[str, str] = field(default_factory=dict)


def section(content: Mapping[str, Any], name: str, source: str) -> list[Record]:
    """A list of objects of the file. Raises AnnotationError if it is something else, or empty."""
    rows = content.get(name)
    if not isinstance(rows, list) or not rows:
        got = f"a list of {len(rows)}" if isinstance(rows, list) else type(rows).__name__
        raise AnnotationError([Fault("missing section", f"{source}: '{name}' must be a list of records; got {got}")])
    wrong = next((index for index, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        text = f"{source}: {name}[{wrong}] must be an object; got {type(rows[wrong]).__name__}"
        raise AnnotationError([Fault("malformed record", text)])
    return rows


def require_fields(rows: Sequence[Record], name: str, fields: Sequence[str], source: str) -> None:
    """Raises AnnotationError with every record that lacks one of the fields, or whose id is no number from 0."""
    needed = set(fields)
    faults = [
        Fault("malformed record", f"{source}: {name}[{index}] lacks {', '.join(sorted(needed - row.keys()))}")
        for index, row in enumerate(rows)
        if not needed <= row.keys()
    ]
    faults += [
        Fault("malformed record", f"{source}: {name}[{index}].id must be an integer from 0; got {row['id']!r:.40}")
        for index, row in enumerate(rows)
        if "id" in row and (type(row["id"]) is not int or row["id"] < 0)
    ]
    if faults:
        raise AnnotationError(faults)


def check_count(categories: Sequence[Record], expected: int | None, files: SourceFiles, source: str) -> None:
    """Raises AnnotationError if the file is not the vocabulary that it should be."""
    wanted = files.num_categories or expected
    if wanted is not None and len(categories) != wanted:
        text = (
            f"{source}: layout {files.layout} has {wanted} categories; {files.annotations.name} has {len(categories)}"
        )
        raise AnnotationError([Fault("category count", f"{text}. Give the full file, or set num_categories")])


def without_images(records: SourceRecords, name_ends: Sequence[str]) -> None:
    """Drop images whose names end so, with their boxes; they are counted in left_out."""
    ends = tuple(f"/{end}" for end in name_ends)
    gone = {image["id"]: image["file_name"] for image in records.images if f"/{image['file_name']}".endswith(ends)}
    if ends and gone:
        records.images = [image for image in records.images if image["id"] not in gone]
        records.annotations = [box for box in records.annotations if box["image_id"] not in gone]
        records.left_out["images known to be missing"] = _shown(list(gone.values()))


def usable_boxes(
    records: SourceRecords, files: SourceFiles, source: str, fault_of: Callable[[Record], str | None]
) -> None:
    """Refuse or repair boxes (see SourceFiles.faulty_boxes). fault_of: what else is wrong with a record."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in records.images}
    kept: list[Record] = []
    faults: list[Fault] = []
    clipped: list[str] = []
    repairs = files.faulty_boxes == "repair"
    for box in records.annotations:
        name = f"annotation {box['id']}"
        found = list(_faults(box, sizes.get(box["image_id"]), fault_of))
        if repairs and found == ["leaves its image"]:
            box["bbox"] = _clipped(box["bbox"], sizes[box["image_id"]])
            clipped.append(name)
            found = []
        faults += [Fault(kind, f"{source}: {name}, box {box['bbox']}: {kind}") for kind in found]
        if not found:
            kept.append(box)
    if faults and not repairs:
        raise AnnotationError(faults)
    if not kept:
        raise AnnotationError(faults or [Fault("no box", f"{source}: no box is left")])
    records.annotations = kept
    for kind in sorted({fault.kind for fault in faults}):
        records.left_out[f"boxes: {kind}"] = _shown([fault.text for fault in faults if fault.kind == kind])
    if clipped:
        records.left_out["boxes clipped to their image"] = _shown(clipped)


def _faults(box: Record, size: tuple[int, int] | None, fault_of: Callable[[Record], str | None]) -> Iterator[str]:
    own = fault_of(box)
    if own is not None:
        yield own
    if size is None:
        yield "is of an image that the file does not list"
        return
    if not (isinstance(box["bbox"], list) and [type(side) in (int, float) for side in box["bbox"]] == [True] * 4):
        yield "is not four numbers"
        return
    left, top, width, height = box["bbox"]
    right, bottom = left + width, top + height
    if not (width > 0 and height > 0):
        yield "has no area"
    elif not (left < size[0] and top < size[1] and right > 0 and bottom > 0):
        yield "is outside its image"
    elif min(left, top) < -TOLERANCE_PX or right > size[0] + TOLERANCE_PX or bottom > size[1] + TOLERANCE_PX:
        yield "leaves its image"


def _clipped(bbox: list[float], size: tuple[int, int]) -> list[float]:
    left, top = max(bbox[0], 0), max(bbox[1], 0)
    return [left, top, min(bbox[0] + bbox[2], size[0]) - left, min(bbox[1] + bbox[3], size[1]) - top]


def _shown(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{len(items)} ({'; '.join(items[:SHOWN])}{more})"
