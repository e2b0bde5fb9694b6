"""COCO boxes under LVIS names say neither more nor less than COCO does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crqat_pipeline.detection_data.lvis_names import lvis_categories_of, under_lvis_names

COCO = [{"id": 1, "name": "person"}, {"id": 2, "name": "fire hydrant"}, {"id": 3, "name": "hot dog"}]
LVIS = [{"id": 7, "name": "fireplug"}, {"id": 8, "name": "person"}, {"id": 9, "name": "lampshade"}]


def test_counterparts_are_found_by_name() -> None:
    assert lvis_categories_of(COCO, LVIS) == {1: 8, 2: 7}


def test_crowds_make_a_category_not_exhaustive_and_absent_ones_are_negatives() -> None:
    boxes = [
        {"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 3.5, "iscrowd": 0},
        {"id": 6, "image_id": 2, "category_id": 2, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 1},
        {"id": 7, "image_id": 2, "category_id": 3, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 0},
    ]
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2)]
    made = under_lvis_names({"images": images, "annotations": boxes, "categories": COCO}, LVIS)
    assert [(one["neg_category_ids"], one["not_exhaustive_category_ids"]) for one in made["images"]] == [
        ([7], []),
        ([8], [7]),
    ]
    assert made["annotations"] == [{"id": 5, "image_id": 1, "category_id": 8, "bbox": [0, 0, 2, 2], "area": 3.5}]


def test_the_published_categories_have_79_counterparts(project: Path) -> None:
    data = project.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    coco = json.loads((data / "coco_mini/annotations/instances_val.json").read_text(encoding="utf-8"))
    wanted = json.loads((data / "coco_mini/annotations/lvis_style_val.json").read_text(encoding="utf-8"))
    categories = json.loads((data / "text/lvis_v1_categories.json").read_text(encoding="utf-8"))
    assert len(lvis_categories_of(coco["categories"], categories)) == 79
    made = under_lvis_names(coco, categories)
    assert {key: made[key] for key in wanted if key != "info"} == {key: wanted[key] for key in wanted if key != "info"}
