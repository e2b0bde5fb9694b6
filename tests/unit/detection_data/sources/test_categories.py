"""Objects365 v2, COCO and LVIS as sources: folders, missing images, crowds, synonyms, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crqat_pipeline.detection_data import AnnotationError, prepare_split
from crqat_pipeline.detection_data.box_columns import BoxColumns
from crqat_pipeline.detection_data.sources.spec import SourceSpec
from crqat_pipeline.detection_data.sources.table import read_source
from crqat_pipeline.structures.category_name import prompt_names
from tests.support.published_layouts import coco, lvis, objects365, write_json


def spec(folder: Path, content: dict[str, Any], layout: str = "objects365", **options: Any) -> SourceSpec:
    path = write_json(folder / "a.json", content)
    return SourceSpec.model_validate({"layout": layout, "annotations": path, "images": folder, **options})


def test_images_that_no_download_has_are_left_out_with_their_boxes(tmp_path):
    records = read_source("o365", spec(tmp_path, objects365()))
    assert [image["id"] for image in records.images] == list(range(1, 9))
    assert {box["image_id"] for box in records.annotations} == set(range(1, 9))
    assert records.left_out == {"images known to be missing": "1 (images/v2/patch16/objects365_v2_00908726.jpg)"}
    assert prompt_names(records.categories[1]) == ("Circle", "ring")


def test_crowds_stay_marked_and_are_not_trained_on(tmp_path):
    records = read_source("o365", spec(tmp_path, objects365()))
    assert [box["id"] for box in records.annotations if box["iscrowd"]] == [500]
    split = prepare_split(vars(records))
    assert sum(len(image.category_ids) for image in split.images) == 8


def test_further_images_can_be_left_out(tmp_path):
    records = read_source("o365", spec(tmp_path, objects365(), leave_out=["patch1/objects365_v1_00000003.jpg"]))
    assert 3 not in {image["id"] for image in records.images}


def test_another_number_of_categories_is_refused(tmp_path):
    content = objects365()
    content["categories"].pop()
    with pytest.raises(AnnotationError, match=r"o365: layout objects365 has 365 categories; a\.json has 364"):
        read_source("o365", spec(tmp_path, content))
    assert len(read_source("o365", spec(tmp_path, content, num_categories=364)).categories) == 364


def test_coco_and_lvis_name_their_images_by_folder(tmp_path):
    records = read_source("coco", spec(tmp_path, coco(), "coco", num_categories=2))
    assert records.images[0]["file_name"] == "val2017/000000000001.jpg"
    records = read_source("lvis", spec(tmp_path, lvis(), "lvis", num_categories=2))
    assert records.images[1]["file_name"] == "val2017/000000000002.jpg"
    assert records.categories[1]["synonyms"] == ["star"]


@pytest.mark.parametrize(
    ("bbox", "kind"),
    [
        ([10, 10, 0, 5], "has no area"),
        ([200, 10, 5, 5], "is outside its image"),
        ([90, 10, 20, 5], "leaves its image"),
        ([1, 2, 3], "is not four numbers"),
        ([1, 2, "3", 4], "is not four numbers"),
    ],
)
def test_faulty_boxes_are_refused_with_count_and_offender(tmp_path, bbox, kind):
    content = objects365()
    content["annotations"][0]["bbox"] = content["annotations"][1]["bbox"] = bbox
    with pytest.raises(AnnotationError) as refusal:
        read_source("o365", spec(tmp_path, content))
    assert f"2 × {kind}" in str(refusal.value)
    assert "o365: annotation 1, box " in str(refusal.value)


def test_faulty_boxes_are_repaired_on_request_and_counted(tmp_path):
    content = objects365()
    for number, bbox in enumerate(([90, 10, 20, 5], [10, 10, 0, 5], [200, 10, 5, 5])):
        content["annotations"][number]["bbox"] = bbox
    records = read_source("o365", spec(tmp_path, content, faulty_boxes="repair"))
    assert records.annotations[0]["bbox"] == [90, 10, 6, 5]
    assert {2, 3}.isdisjoint(box["id"] for box in records.annotations)
    assert records.left_out["boxes clipped to their image"] == "1 (annotation 1)"
    assert records.left_out["boxes: has no area"] == "1 (o365: annotation 2, box [10, 10, 0, 5]: has no area)"
    assert "boxes: is outside its image" in records.left_out


@pytest.mark.parametrize("order", [("categories", "annotations", "images"), ("images", "categories", "annotations")])
def test_boxes_are_columns_in_whatever_order_the_sections_stand(tmp_path, order):
    content = objects365()
    usual = read_source("o365", spec(tmp_path, content))
    records = read_source("o365", spec(tmp_path, {name: content[name] for name in order}))
    assert isinstance(records.annotations, BoxColumns)
    assert records == usual


def test_boxes_at_the_edge_are_as_they_were(tmp_path):
    content = objects365()
    bboxes = [[-1, -1, 98, 66], [95.5, 63.5, 1.5, 1.5], [0.0, 0.0, 97.0, 65.0]]
    for box, bbox in zip(content["annotations"], bboxes, strict=False):
        box["bbox"] = bbox
    records = read_source("o365", spec(tmp_path, content))
    assert [box["bbox"] for box in records.annotations[:3]] == bboxes


def test_unknown_images_and_categories_are_named(tmp_path):
    content = objects365()
    content["annotations"][0]["image_id"] = 77
    content["annotations"][1]["category_id"] = 999
    with pytest.raises(AnnotationError) as refusal:
        read_source("o365", spec(tmp_path, content))
    assert "is of an image that the file does not list" in str(refusal.value)
    assert "is of a category that the file does not list" in str(refusal.value)


def test_broken_records_are_named(tmp_path):
    content = objects365()
    del content["annotations"][2]["bbox"]
    with pytest.raises(AnnotationError, match=r"o365: annotations\[2\] lacks bbox"):
        read_source("o365", spec(tmp_path, content))
    with pytest.raises(AnnotationError, match=r"'images' must be a list of records; got a list of 0"):
        read_source("o365", spec(tmp_path, content | {"images": []}))
    content = objects365()
    content["images"][0]["id"] = "7"
    with pytest.raises(AnnotationError, match=r"images\[0\]\.id must be an integer from 0; got '7'"):
        read_source("o365", spec(tmp_path, content))
    content = objects365()
    content["images"][1]["width"] = "wide"
    del content["images"][2]["file_name"]
    with pytest.raises(AnnotationError) as refusal:
        read_source("o365", spec(tmp_path, content))
    assert "o365: images[1].width must be a whole number; got 'wide'" in str(refusal.value)
    assert "o365: images[2] lacks file_name" in str(refusal.value)
    missing = SourceSpec(layout="objects365", annotations=tmp_path / "none.json", images=tmp_path)
    with pytest.raises(ValueError, match=r"none\.json does not exist"):
        read_source("o365", missing)
