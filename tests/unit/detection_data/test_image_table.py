"""A table of images: records in, the same records out, whatever is sliced, taken, pickled or written between."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crqat_pipeline.detection_data.image_table import SCHEMA, ImageTable, PreparedImage
from crqat_pipeline.detection_data.prepared_split import PreparedCategory, PreparedSplit
from crqat_pipeline.detection_data.prepared_split_file import (
    FORMAT,
    PreparedSplitFileError,
    read_prepared_split,
    write_prepared_split,
)

numbers = st.floats(0, 4096, allow_nan=False)
boxes = st.lists(st.tuples(st.tuples(numbers, numbers, numbers, numbers), st.integers(0, 10**9)), max_size=3)


@st.composite
def records(draw):
    found = draw(boxes)
    return PreparedImage(
        id=draw(st.integers(0, 2**60)),
        file_name=draw(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)),
        width=draw(st.integers(1, 9999)),
        height=draw(st.integers(1, 9999)),
        boxes_xyxy=tuple(box for box, _ in found),
        category_ids=tuple(number for _, number in found),
    )


tables = st.lists(records(), max_size=5)
CATEGORIES = (
    PreparedCategory(id=3, synonyms=("cat", "Katze"), splits=("base",)),
    PreparedCategory(id=9, synonyms=("ein Hut",), scope="gqa", is_phrase=True),
)


def made(count=5):
    return [
        PreparedImage(
            id=10 * n,
            file_name=f"{n}.jpg",
            width=64,
            height=48,
            boxes_xyxy=((0.0, 1.0, 2.5, 3.0),) * n,
            category_ids=(n,) * n,
        )
        for n in range(count)
    ]


@settings(deadline=None)
@given(tables)
def test_records_come_back(images):
    table = ImageTable.of(images)
    assert list(table) == images
    assert [table[row] for row in range(-len(images), 0)] == images
    assert pickle.loads(pickle.dumps(table)) == table
    assert table.num_boxes == sum(len(image.category_ids) for image in images)
    assert table.box_category_ids.tolist() == [number for image in images for number in image.category_ids]
    assert table.first_category_ids.tolist() == [(*image.category_ids, -1)[0] for image in images]


@settings(deadline=None)
@given(tables, st.slices(5))
def test_slices_and_rows_are_those_of_a_list(images, some):
    table = ImageTable.of(images)
    assert list(table[some]) == images[some]
    assert table[some] == ImageTable.of(images[some])
    rows = list(range(len(images)))[some]
    assert table.take(rows) == table[some]
    assert table[some].digest == ImageTable.of(images[some]).digest
    assert table[some].num_boxes == len(table[some].box_category_ids)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 1},
        {"file_name": "x"},
        {"width": 65},
        {"height": 49},
        {"boxes_xyxy": ((0.0, 1.0, 2.5, 3.5),)},
        {"category_ids": (7,)},
        {"boxes_xyxy": (), "category_ids": ()},
    ],
)
def test_the_representation_tells_other_content_apart(change):
    images = made(2)
    other = [images[0], images[1].model_copy(update=change)]
    assert repr(ImageTable.of(images)) == repr(ImageTable.of(list(images)))
    assert repr(ImageTable.of(images)) != repr(ImageTable.of(other))
    assert ImageTable.of(images) != ImageTable.of(other)
    assert repr(ImageTable.of(images)).startswith("ImageTable(2 images, 1 boxes, sha256 ")


@pytest.mark.parametrize("row", [5, -6])
def test_a_position_outside_is_refused(row):
    with pytest.raises(IndexError, match=f"Image {row} of 5"):
        ImageTable.of(made())[row]


def test_slices_share_the_columns():
    table = ImageTable.of(made())
    assert np.shares_memory(table[1:4].ids, table.ids)


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="has the columns"):
        ImageTable(pa.table({"id": [1]}))
    rows = [{"id": 1, "file_name": "a", "width": 9, "height": 9, "boxes_xyxy": [0.0] * 5, "category_ids": [3]}]
    with pytest.raises(ValueError, match="four numbers and one category id"):
        ImageTable(pa.Table.from_pylist(rows, schema=SCHEMA))
    with pytest.raises(ValidationError, match="one category id per box; got 1 boxes and 0 ids"):
        ImageTable.of([{"id": 1, "file_name": "a", "width": 9, "height": 9, "boxes_xyxy": [(0, 0, 1, 1)]}])


@settings(deadline=None, max_examples=30)
@given(images=tables)
def test_a_file_holds_a_split_and_repeats_its_bytes(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("split")
    split = PreparedSplit(images=images, categories=CATEGORIES)
    write_prepared_split(folder / "1.parquet", split)
    found = read_prepared_split(folder / "1.parquet")
    assert found == split
    write_prepared_split(folder / "2.parquet", found)
    assert (folder / "1.parquet").read_bytes() == (folder / "2.parquet").read_bytes()


def test_other_programs_read_the_columns(tmp_path):
    import pandas as pd

    write_prepared_split(tmp_path / "split.parquet", PreparedSplit(images=made(), categories=CATEGORIES))
    frame = pd.read_parquet(tmp_path / "split.parquet")
    assert list(frame.columns) == SCHEMA.names
    assert frame["boxes_xyxy"][2].tolist() == [0, 1, 2.5, 3, 0, 1, 2.5, 3]


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (None, "lacks b'crqat'"),
        ({"crqat": "no json"}, "cannot be read"),
        ({"crqat": '{"format": "crqat prepared split 9"}'}, "crqat prepared split 9"),
        ({"crqat": f'{{"format": "{FORMAT}"}}'}, "lacks 'categories'"),
        ({"crqat": f'{{"format": "{FORMAT}", "categories": [{{"id": "x"}}]}}'}, "faults in its categories"),
    ],
)
def test_a_file_without_the_right_metadata_is_refused(tmp_path, metadata, told):
    import pyarrow.parquet as pq

    table = ImageTable.of(made()).table.replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "split.parquet")
    with pytest.raises(PreparedSplitFileError, match=told):
        read_prepared_split(tmp_path / "split.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "split.parquet").write_bytes(b"{}")
    with pytest.raises(PreparedSplitFileError, match="cannot be read as Parquet"):
        read_prepared_split(tmp_path / "split.parquet")


def test_a_file_with_other_columns_is_refused(tmp_path):
    import pyarrow.parquet as pq

    header = {"crqat": f'{{"format": "{FORMAT}", "categories": []}}'}
    pq.write_table(pa.table({"id": [1]}).replace_schema_metadata(header), tmp_path / "split.parquet")
    with pytest.raises(PreparedSplitFileError, match="columns of a split"):
        read_prepared_split(tmp_path / "split.parquet")
