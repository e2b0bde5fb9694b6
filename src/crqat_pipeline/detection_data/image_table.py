"""Images and their boxes as columns: two million images take the bytes of their numbers and names, and loader processes
share them. Records are several times as large, and every process that reads them gets a copy of its own
(benchmarks/prepared_split_memory.py).

Shape letters: I images, M boxes of all images.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Self, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

Box = tuple[float, float, float, float]

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("boxes_xyxy", pa.list_(pa.field("item", pa.float64(), nullable=False)), nullable=False),
        pa.field("category_ids", pa.list_(pa.field("item", pa.int64(), nullable=False)), nullable=False),
    ]
)
"""Columns of a table. boxes_xyxy: four numbers per box, one after the other."""


class PreparedImage(BaseModel):
    """One image; boxes_xyxy in pixels of the file, inside the image, one category id each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    file_name: str
    width: int
    height: int
    boxes_xyxy: tuple[Box, ...] = ()
    category_ids: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.boxes_xyxy) != len(self.category_ids):
            raise ValueError(
                f"Image {self.id} needs one category id per box; got {len(self.boxes_xyxy)} boxes and "
                f"{len(self.category_ids)} ids."
            )
        return self


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


class ImageTable(Sequence[PreparedImage]):
    """A sequence of PreparedImage, made when asked for; a slice or `take` shares or gathers the columns."""

    def __init__(self, table: pa.Table) -> None:
        """Raises ValueError for other columns than SCHEMA's, and unless every box has four numbers and a category."""
        if not table.schema.equals(SCHEMA):
            raise ValueError(f"An image table has the columns\n{SCHEMA}\nand got\n{table.schema.remove_metadata()}")
        self.table = table if table.column(0).num_chunks == 1 else table.combine_chunks()
        columns = {name: _only_chunk(self.table.column(name)) for name in table.column_names}
        self._names = columns["file_name"]
        self._sizes = columns["width"].to_numpy(), columns["height"].to_numpy()
        self.ids: NDArray[np.int64] = columns["id"].to_numpy()
        self._corner_offsets: NDArray[np.int32] = columns["boxes_xyxy"].offsets.to_numpy()
        self._corners: NDArray[np.float64] = columns["boxes_xyxy"].values.to_numpy()
        self._offsets: NDArray[np.int32] = columns["category_ids"].offsets.to_numpy()
        self._categories: NDArray[np.int64] = columns["category_ids"].values.to_numpy()
        if not np.array_equal(np.diff(self._corner_offsets), 4 * np.diff(self._offsets)):
            raise ValueError("Every box of an image table needs four numbers and one category id; some have others.")

    @classmethod
    def of(cls, images: Iterable[PreparedImage | Mapping[str, Any]]) -> ImageTable:
        """From records, or dictionaries of their fields. Raises pydantic's ValidationError for impossible ones."""
        records = [one if isinstance(one, PreparedImage) else PreparedImage.model_validate(one) for one in images]
        rows = [
            record.model_dump() | {"boxes_xyxy": list(chain.from_iterable(record.boxes_xyxy))} for record in records
        ]
        return cls(pa.Table.from_pylist(rows, schema=SCHEMA))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> PreparedImage: ...
    @overload
    def __getitem__(self, index: slice) -> ImageTable: ...
    def __getitem__(self, index: int | slice) -> PreparedImage | ImageTable:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return self.take(np.arange(start, stop, step))
            return ImageTable(self.table.slice(start, max(stop - start, 0)))
        row = operator.index(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"Image {row} of {len(self)}")
        return self._record(row % len(self))

    def __iter__(self) -> Iterator[PreparedImage]:
        return map(self._record, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageTable) and self.table.equals(other.table)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Names the content, so that fingerprints of what contains a table tell other images apart."""
        return f"ImageTable({len(self)} images, {self.num_boxes} boxes, sha256 {self.digest[:32]})"

    def __reduce__(self) -> tuple[type[ImageTable], tuple[pa.Table]]:
        return ImageTable, (self.table,)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> ImageTable:
        """The images at these positions, in this order."""
        return ImageTable(self.table.take(pa.array(rows, pa.int64())))

    @property
    def file_names(self) -> list[str]:
        """Of all images, in order."""
        names: list[str] = self._names.to_pylist()
        return names

    @property
    def num_boxes(self) -> int:
        return int(self._offsets[-1] - self._offsets[0])

    @property
    def box_category_ids(self) -> NDArray[np.int64]:
        """Of the boxes of all images, image by image."""
        return self._categories[self._offsets[0] : self._offsets[-1]]

    @property
    def first_category_ids(self) -> NDArray[np.int64]:
        """Of the first box of every image; -1 where an image has none."""
        first_I = np.full(len(self), -1, np.int64)
        has_boxes_I = np.diff(self._offsets) > 0
        first_I[has_boxes_I] = self._categories[self._offsets[:-1][has_boxes_I]]
        return first_I

    @cached_property
    def digest(self) -> str:
        """sha256 of the content, the same for equal tables."""
        whole = hashlib.sha256(f"{len(self)}\0".encode())
        whole.update("\0".join(self._names.to_pylist()).encode())
        corners = self._corners[self._corner_offsets[0] : self._corner_offsets[-1]]
        for column in (self.ids, *self._sizes, np.diff(self._offsets), corners, self.box_category_ids):
            whole.update(np.ascontiguousarray(column).tobytes())
        return whole.hexdigest()

    def _record(self, row: int) -> PreparedImage:
        corners_M4 = self._corners[self._corner_offsets[row] : self._corner_offsets[row + 1]].reshape(-1, 4)
        return PreparedImage.model_construct(
            id=int(self.ids[row]),
            file_name=self._names[row].as_py(),
            width=int(self._sizes[0][row]),
            height=int(self._sizes[1][row]),
            boxes_xyxy=tuple((left, top, right, bottom) for left, top, right, bottom in corners_M4.tolist()),
            category_ids=tuple(self._categories[self._offsets[row] : self._offsets[row + 1]].tolist()),
        )
