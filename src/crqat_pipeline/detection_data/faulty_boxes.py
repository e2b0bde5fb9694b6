"""Boxes that no detector can learn from: clipped to their image or left out, and counted.

COCO's own train2017 has boxes without height, so a file is not refused for one of them. A file whose boxes are mostly
faulty was written in another layout (corners in place of sizes, shares in place of pixels), which no clipping mends.

Shape letters: M boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from crqat_pipeline.detection_data.annotation_faults import Fault
from crqat_pipeline.detection_data.box_columns import Boxes, as_given, four_numbers, integers, sides
from crqat_pipeline.detection_data.record_spelling import shown

Record = Mapping[str, Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

NO_NUMBERS = "box of no numbers"
EMPTY = "empty box"
OUTSIDE = "box outside image"
LEAVING = "box leaves image"
NORMALIZED = "normalized boxes"
UNKNOWN_SIZE = (math.inf, math.inf)


class FaultyBoxSpec(BaseModel):
    """What is done about faulty boxes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    faulty_boxes: Literal["repair", "refuse"] = Field(
        "repair",
        description="repair: clip boxes that leave their image, leave out those without area, outside their image or "
        "without four finite numbers, and count both. refuse: every one is a fault",
    )
    largest_faulty_share: float = Field(
        0.5, ge=0, le=1, description="repair: a file with a larger share of faulty boxes is refused"
    )
    tolerance_px: float = Field(1.0, ge=0, description="A box that leaves its image by no more is not faulty, pixels")


@dataclass
class SoundBoxes:
    """records: without the faulty ones. faults: those found, by kind. is_changed: records are not those given."""

    records: Boxes
    faults: list[Fault] = field(default_factory=list)
    is_changed: bool = False


def sound_boxes(
    boxes: Boxes, sizes: Mapping[int, tuple[int, int]], spec: FaultyBoxSpec, *, clips: bool = True
) -> SoundBoxes:
    """Boxes that can be used, in their order; a clipped one is a new record.

    sizes: (width, height) by image id; a box of an image without one is only looked at by itself. clips: False keeps
    boxes that leave their image, and empty ones, as the reference evaluators count them.
    """
    sides_M4 = sides(boxes)
    size_M2 = _sizes(boxes, sizes)
    start_M2, side_M2 = sides_M4[:, :2], sides_M4[:, 2:]
    with np.errstate(over="ignore", invalid="ignore"):
        end_M2 = start_M2 + side_M2
        is_number_M = np.isfinite(sides_M4).all(1) & np.isfinite(end_M2).all(1)
        if not clips:
            is_number_M &= (side_M2 >= 0).all(1)
        is_empty_M = is_number_M & ~(side_M2 > 0).all(1)
        is_outside_M = is_number_M & ~is_empty_M & ~((start_M2 < size_M2) & (end_M2 > 0)).all(1)
        tolerance = spec.tolerance_px
        leaves_M: Mask = np.asarray(((start_M2 < -tolerance) | (end_M2 > size_M2 + tolerance)).any(1))
        leaves_M &= is_number_M & ~is_empty_M & ~is_outside_M
    kinds = {NO_NUMBERS: ~is_number_M}
    if clips:
        kinds |= {EMPTY: is_empty_M, OUTSIDE: is_outside_M, LEAVING: leaves_M}
    is_faulty_M: Mask = np.asarray(np.array([*kinds.values()], np.bool_).any(axis=0))
    if not is_faulty_M.any():
        return SoundBoxes(boxes)
    faults = [
        _fault(kind, boxes[row], sizes) for kind, mask_M in kinds.items() for row in np.flatnonzero(mask_M).tolist()
    ]
    kept = as_given(boxes, _kept(boxes, is_faulty_M, leaves_M & clips, sides_M4, sizes))
    return SoundBoxes(kept, faults, is_changed=True)


def refusals(found: SoundBoxes, num_boxes: int, spec: FaultyBoxSpec) -> list[Fault]:
    """The faults that stop a run: every one where the spec says so, one for a share that is too large, else none."""
    if spec.faulty_boxes == "refuse" or not found.faults:
        return list(found.faults)
    share = len(found.faults) / num_boxes
    if share <= spec.largest_faulty_share:
        return []
    text = (
        f"{len(found.faults)} of {num_boxes} boxes are faulty, {share:.0%}; at most {spec.largest_faulty_share:.0%} "
        f"may be (largest_faulty_share). A box is [left, top, width, height] in pixels. First: {found.faults[0].text}"
    )
    return [Fault("faulty boxes", text)]


def normalized_fault(boxes: Sequence[Record], sizes: Mapping[int, tuple[int, int]]) -> Fault | None:
    """Boxes as shares of the image (0 to 1), where pixels are wanted; they would pass as boxes of one pixel."""
    sides_M4 = sides(boxes)
    looks_small = len(boxes) > 0 and bool(np.isfinite(sides_M4).all()) and 0 <= sides_M4.min() <= sides_M4.max() <= 1
    if not looks_small or np.equal(sides_M4, sides_M4.round()).all() or max(map(max, sizes.values()), default=1) < 8:
        return None
    text = f"all {len(boxes)} boxes lie between 0 and 1, such as {boxes[0]['bbox']}; multiply them by the images' sizes"
    return Fault(NORMALIZED, text)


def area_of(bbox: Any) -> float:
    """Of a box [left, top, width, height] in square pixels; 0 where it has none."""
    _, _, width, height = four_numbers(bbox)
    area = width * height if width > 0 and height > 0 else 0.0
    return float(area) if math.isfinite(area) else 0.0


def _sizes(boxes: Boxes, sizes: Mapping[int, tuple[int, int]]) -> Floats:
    """(M, 2), width and height of the image of every box."""
    ids, row_M = np.unique(integers(boxes, "image_id"), return_inverse=True)
    size_2 = np.array([sizes.get(number, UNKNOWN_SIZE) for number in ids.tolist()], np.float64).reshape(-1, 2)
    return size_2[row_M]


def _kept(
    boxes: Boxes, is_faulty_M: Mask, is_clipped_M: Mask, sides_M4: Floats, sizes: Mapping[int, tuple[int, int]]
) -> Iterator[dict[str, Any]]:
    for row, box in enumerate(boxes):
        if is_clipped_M[row]:
            yield _clipped(box, sides_M4[row], sizes.get(box["image_id"], UNKNOWN_SIZE))
        elif not is_faulty_M[row]:
            yield box


def _fault(kind: str, box: Record, sizes: Mapping[int, tuple[int, int]]) -> Fault:
    name, bbox = f"annotation {box.get('id')}", box.get("bbox")
    if kind == NO_NUMBERS:
        got = f"[{', '.join(map(shown, bbox))}]" if isinstance(bbox, list) and len(bbox) <= 6 else shown(bbox)
        return Fault(kind, f"{name}: box {got} must be four finite numbers, left, top, width and height")
    if kind == EMPTY:
        return Fault(kind, f"{name}: box {bbox} must have a positive width and height")
    width, height = sizes.get(box["image_id"], UNKNOWN_SIZE)
    return Fault(kind, f"{name}: box {bbox} leaves image {box['image_id']} of {width}×{height} pixels")


def _clipped(box: dict[str, Any], sides_4: Floats, size: tuple[float, float]) -> dict[str, Any]:
    left, top, width, height = sides_4.tolist()
    right, bottom = min(left + width, size[0]), min(top + height, size[1])
    left, top = max(left, 0.0), max(top, 0.0)
    bbox = [left, top, right - left, bottom - top]
    return {**box, "bbox": bbox, "area": min(box["area"], bbox[2] * bbox[3])}
