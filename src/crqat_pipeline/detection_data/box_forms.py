"""What the numbers of a box's record are, so that columns give back the record they were made from."""

from __future__ import annotations

from itertools import product
from typing import Any

from crqat_pipeline.detection_data.annotation_schema import LARGEST_ID

IDS = ("id", "image_id", "category_id")
NUMBERS = (*IDS, "area")
LARGEST_EXACT = 2**53
"""Whole numbers up to this one are kept by a column of float64."""

LEAST_ID = -LARGEST_ID - 1

_COLUMNS = frozenset((*NUMBERS, "bbox"))

Kind = type[int] | type[float] | None
Form = tuple[tuple[Kind, ...], tuple[Kind, ...], dict[str, Any]]

ALL_FLOATS: tuple[Kind, ...] = (float,) * 4
USUAL: tuple[Kind, ...] = (int, int, int, float)
_SIDE_KINDS: frozenset[tuple[Kind, ...]] = frozenset(product((int, float), repeat=4))
_KINDS: frozenset[tuple[Kind, ...]] = frozenset(product(*[(int, None)] * 3, (int, float, None)))


def form_of(row: Any) -> Form | None:
    """Types of the numbers of a record, of its box, and its other fields; None where they do not fit the columns."""
    if type(row) is not dict or type(bbox := row.get("bbox")) is not list or len(bbox) != 4:
        return None
    kinds = tuple([type(row[name]) if name in row else None for name in NUMBERS])
    side_kinds = tuple(map(type, bbox))
    if kinds not in _KINDS or side_kinds not in _SIDE_KINDS:
        return None
    if not all(LEAST_ID <= row.get(name, 0) <= LARGEST_ID for name in IDS):
        return None
    if side_kinds != ALL_FLOATS or kinds[3] is int:
        whole = [one for one in (*bbox, row.get("area", 0)) if type(one) is int]
        if not all(abs(one) <= LARGEST_EXACT for one in whole):
            return None
    return kinds, side_kinds, {name: value for name, value in row.items() if name not in _COLUMNS}
