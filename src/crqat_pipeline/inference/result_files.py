"""What was found, as files that other tools read: COCO results, YOLO's text files, a table.

Each kind says which files it writes and gives their content; a ResultFolder puts them in place. A record is one of
detections.json.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Protocol

from crqat_pipeline.inference.result_lines import json_bytes

COCO_RESULTS, COCO_IMAGES, TABLE = "coco_results.json", "coco_images.json", "detections.csv"
LABELS, CLASSES = "labels", "labels/classes.txt"
COLUMNS = ("image", "frame", "prompt", "score", "left_px", "top_px", "right_px", "bottom_px")

Record = Mapping[str, Any]
Content = Iterable[bytes]


@dataclass(frozen=True)
class FoundBy:
    """What the numbers in a file stand for.

    names: source file -> its result's name, relative to where it was looked for. image_ids: source file -> id of an
    annotation file that has it; None numbers the images from 1. category_ids: one per prompt; None is their number from
    1.
    """

    prompts: Sequence[str]
    names: Mapping[str, Path]
    image_ids: Mapping[str, int] | None = None
    category_ids: Sequence[int] | None = None

    def column(self, row: Record) -> int:
        """Which prompt a row of a record names; rows say it themselves where a prompt stands twice."""
        return int(row["label"]) if "label" in row else self._columns[row["prompt"]]

    @cached_property
    def _columns(self) -> Mapping[str, int]:
        return {prompt: column for column, prompt in enumerate(self.prompts)}


class ResultFiles(Protocol):
    """One kind."""

    @property
    def names(self) -> Sequence[str]:
        """Files that it always writes, relative to the folder of results."""
        ...

    def label_of(self, record: Record) -> str | None:
        """A file that belongs to this record alone."""
        ...

    def contents(self, records: Iterable[Record]) -> Iterator[tuple[str, Content]]:
        """Each file with its content, which must be read before the next file."""
        ...


class CocoResults:
    """[{image_id, category_id, bbox (x, y, width, height), score}]; without ids of an annotation file, what the numbers
    mean stands in a second file, COCO's without annotations."""

    def __init__(self, found: FoundBy) -> None:
        self._found = found
        self.names = (COCO_RESULTS,) if found.image_ids is not None else (COCO_RESULTS, COCO_IMAGES)

    def label_of(self, record: Record) -> str | None:
        return None

    def contents(self, records: Iterable[Record]) -> Iterator[tuple[str, Content]]:
        images: list[Record] = []
        yield COCO_RESULTS, self._results(records, images)
        if self._found.image_ids is None:
            categories = [
                {"id": self._category(column), "name": name} for column, name in enumerate(self._found.prompts)
            ]
            yield COCO_IMAGES, [json_bytes({"images": images, "annotations": [], "categories": categories}), b"\n"]

    def _results(self, records: Iterable[Record], images: list[Record]) -> Iterator[bytes]:
        yield b"["
        separator = b"\n"
        for record in records:
            image_id = self._image(record, images)
            for row in record.get("detections", ()) if image_id is not None else ():
                left, top, right, bottom = row["box_xyxy_px"]
                box = [left, top, round(right - left, 2), round(bottom - top, 2)]
                category_id = self._category(self._found.column(row))
                result = {"image_id": image_id, "category_id": category_id, "bbox": box, "score": row["score"]}
                yield separator + json_bytes(result)
                separator = b",\n"
        yield b"\n]\n"

    def _image(self, record: Record, images: list[Record]) -> int | None:
        if "detections" not in record:
            return None
        if self._found.image_ids is not None:
            return None if "frame" in record else self._found.image_ids.get(record["image"])
        name = self._found.names[record["image"]].as_posix()
        image = {"id": len(images) + 1, "file_name": name, "width": record["width_px"], "height": record["height_px"]}
        images.append(image | ({"frame": record["frame"]} if "frame" in record else {}))
        return len(images)

    def _category(self, column: int) -> int:
        return column + 1 if self._found.category_ids is None else self._found.category_ids[column]


class YoloLabels:
    """labels/NAME.txt, a line `class x y width height` per object, shares of the image; labels/classes.txt names the
    classes. Of a video, NAME_FRAME.txt. An image without objects has an empty file."""

    def __init__(self, found: FoundBy) -> None:
        self._found, self.names = found, (CLASSES,)
        self._stems = _label_names(found.names)

    def label_of(self, record: Record) -> str | None:
        if "detections" not in record:
            return None
        stem = self._stems[record["image"]]
        return f"{LABELS}/{stem}_{record['frame']}.txt" if "frame" in record else f"{LABELS}/{stem}.txt"

    def contents(self, records: Iterable[Record]) -> Iterator[tuple[str, Content]]:
        yield CLASSES, [_utf8("".join(f"{prompt}\n" for prompt in self._found.prompts))]
        for record in records:
            name = self.label_of(record)
            if name is not None:
                yield name, [self._line(row, record) for row in record["detections"]]

    def _line(self, row: Record, record: Record) -> bytes:
        width_px, height_px = record["width_px"], record["height_px"]
        left, right = (min(max(side / width_px, 0.0), 1.0) for side in row["box_xyxy_px"][::2])
        top, bottom = (min(max(side / height_px, 0.0), 1.0) for side in row["box_xyxy_px"][1::2])
        if right <= left or bottom <= top:
            return b""
        shares = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        return f"{self._found.column(row)} {' '.join(f'{share:.6f}' for share in shares)}\n".encode()


class Table:
    """One row per detection, as a spreadsheet reads it."""

    names = (TABLE,)

    def __init__(self, found: FoundBy) -> None:
        pass

    def label_of(self, record: Record) -> str | None:
        return None

    def contents(self, records: Iterable[Record]) -> Iterator[tuple[str, Content]]:
        yield TABLE, self._rows(records)

    def _rows(self, records: Iterable[Record]) -> Iterator[bytes]:
        yield _csv_row(COLUMNS)
        for record in records:
            for row in record.get("detections", ()):
                where = (record["image"], record.get("frame", ""))
                yield _csv_row((*where, row["prompt"], row["score"], *row["box_xyxy_px"]))


RESULT_FILES: Mapping[str, Callable[[FoundBy], ResultFiles]] = MappingProxyType(
    {"coco": CocoResults, "yolo": YoloLabels, "csv": Table}
)


def _label_names(names: Mapping[str, Path]) -> dict[str, str]:
    """Source file -> name of its labels without .txt: that of the file, with its suffix where two would be the same."""
    taken, stems = {PurePosixPath(CLASSES).stem}, {}
    for file, name in names.items():
        wished, number = name.with_suffix("").as_posix(), 1
        stem = wished
        while stem.casefold() in taken:
            stem = name.as_posix() if number == 1 else f"{name.as_posix()}-{number}"
            number += 1
        taken.add(stem.casefold())
        stems[file] = stem
    return stems


def _csv_row(values: Iterable[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(list(values))
    return _utf8(text.getvalue())


def _utf8(text: str) -> bytes:
    """Bytes of a file name that are no UTF-8 as \\xff."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").encode("utf-8")
