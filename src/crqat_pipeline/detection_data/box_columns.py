"""The `annotations` of a file as columns: 76 bytes a record, where a dictionary of Python objects takes ten times that.

A BoxColumns is the list it was made from, to the type of every number; only the order of the keys of a record is not
kept. Functions here take a list of records too, so that readers have one way for both.

Shape letters: M records.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from crqat_pipeline.detection_data.box_forms import ALL_FLOATS, IDS, NUMBERS, USUAL, Form, form_of

BLOCK = 10_000


class BoxColumns(Sequence[Any]):
    """Items are made when they are asked for; a slice is a list of them.

    A record whose numbers do not fit a column (a text for an id, five numbers for a box) is kept as it is, beside them.
    What records have beyond id, image_id, category_id, bbox and area is kept once per different content.
    """

    def __init__(self, rows: Iterable[Any] = ()) -> None:
        ids, sides, areas, forms = array("q"), array("d"), array("d"), array("i")
        self._odd: dict[int, Any] = {}
        self._forms: list[Form] = []
        numbers: dict[Any, int] = {}
        for row in rows:
            form = form_of(row)
            if form is None:
                self._odd[len(forms)] = row
                forms.append(-1)
                ids.extend((0, 0, 0))
                sides.extend((math.nan,) * 4)
                areas.append(0.0)
                continue
            kinds, side_kinds, rest = form
            number = numbers.setdefault((kinds, side_kinds, repr(rest)), len(numbers))
            if number == len(self._forms):
                self._forms.append(form)
            forms.append(number)
            get = row.get
            ids.extend((get("id", 0), get("image_id", 0), get("category_id", 0)))
            sides.extend(row["bbox"])
            areas.append(get("area", 0.0))
        self._ids_M3: NDArray[np.int64] = np.frombuffer(ids, np.int64).reshape(-1, 3)
        self._sides_M4: NDArray[np.float64] = np.frombuffer(sides, np.float64).reshape(-1, 4)
        self._areas_M: NDArray[np.float64] = np.frombuffer(areas, np.float64)
        self._forms_M: NDArray[np.int32] = np.frombuffer(forms, np.int32)

    def __len__(self) -> int:
        return len(self._forms_M)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return list(self._block(start, stop)) if step == 1 else [self[row] for row in range(start, stop, step)]
        row = range(len(self))[index]
        return next(self._block(row, row + 1))

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), BLOCK):
            yield from self._block(start, min(start + BLOCK, len(self)))

    def __eq__(self, other: object) -> bool:
        is_list = isinstance(other, BoxColumns | list) and len(self) == len(other)
        return is_list and all(own == one for own, one in zip(self, other, strict=True))  # type: ignore[call-overload]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"BoxColumns({len(self)} records)"

    def integers(self, name: str, default: int | None = None) -> NDArray[np.int64]:
        """As `integers` of this module."""
        if name in IDS and default is None:
            values_M = self._ids_M3[:, IDS.index(name)].copy()
        else:
            by_form = np.array([*(rest.get(name, default) for *_, rest in self._forms), 0], np.int64)
            values_M = by_form[self._forms_M]
        for row, record in self._odd.items():
            values_M[row] = record[name] if default is None else record.get(name, default)
        return values_M

    def sides(self) -> NDArray[np.float64]:
        """As `sides` of this module."""
        if not self._odd:
            return self._sides_M4
        sides_M4 = self._sides_M4.copy()
        for row, record in self._odd.items():
            sides_M4[row] = four_numbers(record.get("bbox"))
        return sides_M4

    def take(self, rows_N: NDArray[np.int64]) -> Self:
        """The records of these rows, in this order."""
        taken = type(self)()
        taken._ids_M3, taken._sides_M4 = self._ids_M3[rows_N], self._sides_M4[rows_N]
        taken._areas_M, taken._forms_M = self._areas_M[rows_N], self._forms_M[rows_N]
        taken._forms = self._forms
        if self._odd:
            taken._odd = {new: self._odd[rows_N[new]] for new in np.flatnonzero(taken._forms_M < 0).tolist()}
        return taken

    def replace(self, records: Mapping[int, Any]) -> None:
        """Put other records into these rows."""
        rows_N = np.fromiter(records, np.int64, len(records))
        new = type(self)(records.values())
        self._ids_M3[rows_N], self._sides_M4[rows_N], self._areas_M[rows_N] = new._ids_M3, new._sides_M4, new._areas_M
        self._forms_M[rows_N] = new._forms_behind(len(self._forms))
        self._forms = [*self._forms, *new._forms]
        self._odd = {row: one for row, one in self._odd.items() if row not in records}
        self._odd |= {int(rows_N[row]): one for row, one in new._odd.items()}

    def extend(self, other: BoxColumns, moved: Mapping[str, int]) -> None:
        """Put all records of another behind these. moved: id -> what is added to it; the sums must fit in 64 bits.

        One column after another is replaced, so that there is never more than one column twice.
        """
        first = len(self)
        steps_3 = np.array([moved.get(name, 0) for name in IDS], np.int64)
        self._ids_M3 = np.concatenate([self._ids_M3, other._ids_M3])
        self._ids_M3[first:] += steps_3
        self._sides_M4 = np.concatenate([self._sides_M4, other._sides_M4])
        self._areas_M = np.concatenate([self._areas_M, other._areas_M])
        self._forms_M = np.concatenate([self._forms_M, other._forms_behind(len(self._forms))])
        self._forms = [*self._forms, *other._forms]
        for row, one in other._odd.items():
            self._odd[first + row] = one | {name: one[name] + step for name, step in moved.items() if name in one}

    def _forms_behind(self, count: int) -> NDArray[np.int32]:
        return np.where(self._forms_M < 0, self._forms_M, self._forms_M + np.int32(count))

    def _block(self, start: int, stop: int) -> Iterator[Any]:
        parts = (self._forms_M, self._ids_M3, self._areas_M, self._sides_M4)
        columns = (part[start:stop].tolist() for part in parts)
        for row, (number, ids, area, box) in enumerate(zip(*columns, strict=True), start):
            if number < 0:
                yield self._odd[row]
                continue
            kinds, side_kinds, rest = self._forms[number]
            if side_kinds != ALL_FLOATS:
                box = [kind(side) for kind, side in zip(side_kinds, box, strict=True)]
            if kinds == USUAL:
                own, image, category = ids
                yield {"id": own, "image_id": image, "category_id": category, "area": area, "bbox": box, **rest}
                continue
            values = zip(NUMBERS, kinds, (*ids, area), strict=True)
            yield {name: kind(value) for name, kind, value in values if kind is not None} | {"bbox": box, **rest}


Boxes = BoxColumns | list[dict[str, Any]]


def as_given(boxes: Boxes, records: Iterable[dict[str, Any]]) -> Any:
    """Other records, kept as `boxes` keeps its own."""
    return BoxColumns(records) if isinstance(boxes, BoxColumns) else list(records)


def integers(boxes: Sequence[Any], name: str, default: int | None = None) -> NDArray[np.int64]:
    """A whole number of every record; `default` where a record has none. Raises KeyError without a default."""
    if isinstance(boxes, BoxColumns):
        return boxes.integers(name, default)
    values = (box[name] if default is None else box.get(name, default) for box in boxes)
    return np.fromiter(values, np.int64, len(boxes))


def sides(boxes: Sequence[Any]) -> NDArray[np.float64]:
    """(M, 4), the four numbers of every `bbox`; not a number where it is something else."""
    if isinstance(boxes, BoxColumns):
        return boxes.sides()
    return np.array([four_numbers(box.get("bbox")) for box in boxes], np.float64).reshape(-1, 4)


def four_numbers(bbox: Any) -> tuple[float, ...]:
    """Of a box; not a number where it is something else."""
    if isinstance(bbox, list | tuple) and len(bbox) == 4:
        if all(type(side) is float or (type(side) is int and abs(side) < 2**63) for side in bbox):
            return tuple(bbox)
        if all(isinstance(side, Real) and not isinstance(side, int) for side in bbox):  # scalars of NumPy
            return tuple(float(side) for side in bbox)
    return (math.nan,) * 4
