"""What is done about the boxes of a source that cannot be used.

Shape letters: M boxes, B boxes of one block, I images, K categories that occur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.box_columns import BoxColumns
from crqat_pipeline.detection_data.sources.records import Record, SourceRecords, counted
from crqat_pipeline.detection_data.sources.source_files import SourceFiles

TOLERANCE_PX = 1.0
BLOCK = 2**18
"""Boxes that are looked at together: all of them at once would be a multiple of their columns."""

LEAVES = "leaves its image"

Sizes = Mapping[int, tuple[float, float]]
FaultOf = Callable[[int], str | None]
Mask = NDArray[np.bool_]


def usable_boxes(records: SourceRecords, files: SourceFiles, source: str, fault_of: FaultOf) -> None:
    """Refuse or repair boxes (see SourceFiles.faulty_boxes). fault_of: what is wrong with a category id, if anything.

    Raises AnnotationError with all faults where none is repaired, and where no box is left.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in records.images}
    boxes = records.columns
    repairs = files.faulty_boxes == "repair"
    faults: list[Fault] = []
    names: list[str] = []
    clipped: dict[int, Record] = {}
    stays_M = np.ones(len(boxes), np.bool_)
    for row in np.flatnonzero(_looks_faulty(boxes, sizes, fault_of)).tolist():
        box = boxes[row]
        found = list(_faults(box, sizes.get(box["image_id"]), fault_of))
        if repairs and found == [LEAVES]:
            clipped[row] = {**box, "bbox": _clipped(box["bbox"], sizes[box["image_id"]])}
            names.append(f"annotation {box['id']}")
            continue
        faults += [Fault(kind, f"{source}: annotation {box['id']}, box {box['bbox']}: {kind}") for kind in found]
        stays_M[row] = not found
    if faults and not repairs:
        raise AnnotationError(faults)
    if not stays_M.any():
        raise AnnotationError(faults or [Fault("no box", f"{source}: no box is left")])
    if clipped:
        boxes.replace(clipped)
    records.annotations = boxes if stays_M.all() else boxes.take(np.flatnonzero(stays_M))
    for kind in sorted({fault.kind for fault in faults}):
        records.left_out[f"boxes: {kind}"] = counted([fault.text for fault in faults if fault.kind == kind])
    if clipped:
        records.left_out["boxes clipped to their image"] = counted(names)


def _looks_faulty(boxes: BoxColumns, sizes: Sizes, fault_of: FaultOf) -> Mask:
    """Every faulty box, and perhaps others: `_faults` is who decides."""
    image_M, category_M, sides_M4 = boxes.integers("image_id"), boxes.integers("category_id"), boxes.sides()
    if not sizes:
        return np.ones(len(boxes), np.bool_)
    known_I = np.sort(np.fromiter(sizes, np.int64, len(sizes)))
    size_I2 = np.array([sizes[number] for number in known_I.tolist()], np.float64).reshape(-1, 2)
    ids_K = np.unique(category_M)
    wrong_K = ids_K[[fault_of(number) is not None for number in ids_K.tolist()]]
    faulty_M: Mask = np.isin(category_M, wrong_K)
    for first in range(0, len(boxes), BLOCK):
        block = slice(first, first + BLOCK)
        at_B = np.searchsorted(known_I, image_M[block]).clip(max=len(known_I) - 1)
        is_known_B = known_I[at_B] == image_M[block]
        faulty_M[block] |= ~(is_known_B & _lies_inside(sides_M4[block], size_I2[at_B]))
    return faulty_M


def _lies_inside(sides_B4: NDArray[np.float64], size_B2: NDArray[np.float64]) -> Mask:
    """Not a number anywhere: it does not."""
    with np.errstate(over="ignore", invalid="ignore"):
        start_B2, end_B2 = sides_B4[:, :2], sides_B4[:, :2] + sides_B4[:, 2:]
        meets_B2 = (sides_B4[:, 2:] > 0) & (start_B2 < size_B2) & (end_B2 > 0)
        stays_B2 = (start_B2 >= -TOLERANCE_PX) & (end_B2 <= size_B2 + TOLERANCE_PX)
    inside_B: Mask = np.asarray((meets_B2 & stays_B2).all(axis=1))
    return inside_B


def _faults(box: Record, size: tuple[float, float] | None, fault_of: FaultOf) -> Iterator[str]:
    own = fault_of(box["category_id"])
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
        yield LEAVES


def _clipped(bbox: list[Any], size: tuple[float, float]) -> list[Any]:
    left, top = max(bbox[0], 0), max(bbox[1], 0)
    return [left, top, min(bbox[0] + bbox[2], size[0]) - left, min(bbox[1] + bbox[3], size[1]) - top]
