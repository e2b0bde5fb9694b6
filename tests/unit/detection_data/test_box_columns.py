"""Boxes as columns: the list they were made from, and the same judgement of every reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crqat_pipeline.detection_data.annotation_checks import examine
from crqat_pipeline.detection_data.annotation_file import (
    AnnotationFile,
    read_annotation_columns,
    read_json_annotations,
)
from crqat_pipeline.detection_data.box_columns import BLOCK, BoxColumns, integers, sides
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import prepare_split
from crqat_pipeline.runtime.json_digest import json_digest

SOUND = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2.5, 3, 4], "area": 12, "iscrowd": 0}

ROWS: list[Any] = [
    SOUND,
    SOUND | {"id": 2, "area": 12.0, "bbox": [1.0, 2.0, 3.0, 4.0]},
    SOUND | {"id": 3, "iscrowd": 1, "attributes": {"occluded": True}},
    {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
    SOUND | {"id": "4"},
    SOUND | {"id": 5.0},
    SOUND | {"id": True},
    SOUND | {"id": 2**63},
    SOUND | {"id": 6, "bbox": [1, 2, 3]},
    SOUND | {"id": 7, "bbox": None},
    SOUND | {"id": 8, "bbox": [1, 2, 3, 2**60 + 1]},
    SOUND | {"id": 9, "area": None},
    SOUND | {"id": 10, "area": float("inf"), "bbox": [-0.0, 1e300, 3, 4]},
    SOUND | {"id": 11, "image_id": None},
    {},
    None,
    "text",
    [1],
]


def test_it_is_the_list_it_was_made_from_to_the_type_of_every_number() -> None:
    columns = BoxColumns(iter(ROWS))

    assert list(columns) == ROWS
    assert columns == ROWS
    assert [columns[row] for row in range(-3, 4)] == [ROWS[row] for row in range(-3, 4)]
    assert columns[2:9] == ROWS[2:9]
    assert columns[::-2] == ROWS[::-2]
    assert json.dumps(list(columns), sort_keys=True) == json.dumps(ROWS, sort_keys=True)
    with pytest.raises(IndexError):
        columns[len(ROWS)]


def test_blocks_follow_each_other() -> None:
    rows = [SOUND | {"id": number} for number in range(BLOCK + 3)]
    columns = BoxColumns(rows)

    assert list(columns) == rows
    assert json_digest({"annotations": columns}) == json_digest({"annotations": rows})


def test_columns_of_a_list_and_of_columns_are_equal() -> None:
    rows = [*ROWS[:3], SOUND | {"id": 8, "bbox": [1, 2, 3, 2**60 + 1]}, SOUND | {"id": 9, "bbox": [1, 2, "3", 4]}]
    columns = BoxColumns(rows)

    for name, default in (("id", None), ("image_id", None), ("iscrowd", 0)):
        np.testing.assert_array_equal(integers(columns, name, default), integers(rows, name, default))
    np.testing.assert_array_equal(sides(columns), sides(rows))


def test_rows_are_taken_and_replaced() -> None:
    columns = BoxColumns(ROWS).take(np.array([0, 4, 6, 1, 15]))
    assert list(columns) == [ROWS[row] for row in (0, 4, 6, 1, 15)]

    columns.replace({1: ROWS[2], 3: ROWS[8], 4: ROWS[7]})

    assert list(columns) == [ROWS[row] for row in (0, 2, 6, 8, 7)]


def test_records_behind_others_have_their_ids_moved() -> None:
    columns, others = BoxColumns(ROWS[:5]), BoxColumns([*ROWS[1:4], ROWS[8]])
    columns.extend(others, {"id": 100, "image_id": 10})

    moved = [
        row | {name: row[name] + by for name, by in (("id", 100), ("image_id", 10)) if name in row}
        for row in (*ROWS[1:4], ROWS[8])
    ]
    assert list(columns) == [*ROWS[:5], *moved]
    assert list(others) == [*ROWS[1:4], ROWS[8]]


CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
IMAGES = [
    {"id": 1, "file_name": "a.jpg", "width": 10, "height": 10},
    {"id": 2, "file_name": "b.jpg", "width": 9, "height": 9},
]
FILES = {
    "sound": [SOUND, SOUND | {"id": 2, "image_id": 2}],
    "in any spelling": [*ROWS[3:6], SOUND | {"id": 77, "iscrowd": "1", "segmentation": [[1, 2]]}],
    "everything": ROWS,
    "boxes that leave": [SOUND | {"id": n, "bbox": [8.0 - n, 1.0, 3.0, 4.0]} for n in range(4)],
    "boxes of nobody": [SOUND | {"id": 2, "image_id": 9}, SOUND | {"id": 3, "category_id": 9, "image_id": 8}],
    "repeated ids": [SOUND | {"id": 5}, SOUND, SOUND | {"id": 5}, SOUND],
    "shares": [SOUND | {"id": 2, "bbox": [0.1, 0.2, 0.3, 0.4]}],
    "none": [],
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_judged_as_its_dictionary_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": IMAGES, "annotations": FILES[name], "categories": CATEGORIES}))
    folder = ImageFolder(tmp_path)

    whole = AnnotationFile(read_json_annotations(path), "a")
    pieces = AnnotationFile(read_annotation_columns(path), "a")

    assert pieces.records == whole.records
    assert isinstance(pieces.records.content["annotations"], BoxColumns)
    for role in ("training", "validation", "any"):
        read = [examine(one, folder, role, decode_images=False) for one in (pieces, whole)]  # type: ignore[arg-type]
        assert read[0] == read[1]
    if not whole.faults and FILES[name]:
        assert prepare_split(pieces) == prepare_split(whole)
        assert prepare_split(pieces, [1], 1) == prepare_split(whole, [1], 1)


@pytest.mark.parametrize("value", [None, {}, 3])
def test_sections_that_are_no_lists_are_refused_alike(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": IMAGES, "annotations": value, "categories": CATEGORIES}))

    whole, pieces = AnnotationFile(read_json_annotations(path)), AnnotationFile(read_annotation_columns(path))

    assert pieces.faults == whole.faults != ()
