import json
from typing import Any

import pytest

from crqat_pipeline.detection_data import PreparedSplit, prepare_split, restrict_vocabulary
from crqat_pipeline.detection_data.annotation_file import image_file_name


def annotations() -> dict[str, Any]:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 50} for i in range(1, 9)]
    boxes = [
        {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [10, 10, 20, 20], "iscrowd": 0} for i in range(1, 7)
    ]
    boxes += [
        {"id": 7, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        {"id": 8, "image_id": 2, "category_id": 3, "bbox": [-0.5, 40, 20, 10.5]},
        {"id": 9, "image_id": 2, "category_id": 3, "bbox": [100.2, 40, 0.5, 5]},
    ]
    categories = [
        {
            "id": 3,
            "name": "bow_(weapon)",
            "synset": "bow.n.04",
            "synonyms": ["bow_(weapon)", "long_bow"],
            "splits": ["novel"],
        },
        {"id": 1, "name": "cat", "splits": ["base"]},
        {"id": 2, "name": "dog", "splits": ["base"]},
    ]
    return {"images": images, "annotations": boxes, "categories": categories}


def test_boxes_are_xyxy_clipped_and_without_crowds() -> None:
    split = prepare_split(annotations())
    assert [image.id for image in split.images] == list(range(1, 9))
    assert split.images[0].boxes_xyxy == ((10, 10, 30, 30),)
    assert split.images[1].boxes_xyxy == ((10, 10, 30, 30), (0, 40, 19.5, 50))
    assert split.images[1].category_ids == (1, 3)
    assert split.images[7].boxes_xyxy == ()


def test_vocabulary_is_in_id_order_with_first_names() -> None:
    vocabulary = prepare_split(annotations()).vocabulary
    assert vocabulary.names == ("cat", "dog", "bow")
    assert vocabulary.synonyms[2] == ("bow", "long bow")
    assert vocabulary.splits == {"base": (1, 2), "novel": (3,)}
    narrow = restrict_vocabulary(vocabulary, (3, 1))
    assert (narrow.names, narrow.splits) == (("cat", "bow"), {"base": (1,), "novel": (3,)})
    with pytest.raises(ValueError, match=r"no categories \[12\]"):
        restrict_vocabulary(vocabulary, (12,))


def test_the_users_names_stay_through_preparing() -> None:
    content = annotations()
    content["categories"][1]["name"] = "Truck w/Box (old)"
    split = prepare_split(content)
    assert split.vocabulary.names == ("Truck w/Box (old)", "dog", "bow")
    assert PreparedSplit.model_validate(split.model_dump(mode="json")).vocabulary.names == split.vocabulary.names


def test_a_category_subset_keeps_images_with_its_boxes() -> None:
    split = prepare_split(annotations(), category_ids=(2,))
    assert [image.id for image in split.images] == [1, 3, 5]
    assert split.vocabulary.names == ("dog",)
    assert len(prepare_split(annotations(), (2,), keep_images_without_boxes=True).images) == 8


def test_smaller_draws_begin_larger_ones_and_depend_on_the_seed() -> None:
    def ids(count: int, seed: int) -> list[int]:
        return [image.id for image in prepare_split(annotations(), None, count, seed).images]

    assert ids(8, 0)[:3] == ids(3, 0)
    assert sorted(ids(8, 0)) == list(range(1, 9))
    assert ids(8, 0) != ids(8, 1)


def test_json_round_trip_is_exact() -> None:
    split = prepare_split(annotations())
    assert PreparedSplit.model_validate(json.loads(json.dumps(split.model_dump(mode="json")))) == split


def test_parts_are_disjoint_and_complete() -> None:
    split = prepare_split(annotations())
    first, second = split.part(0, 1 / 3), split.part(1 / 3, 1)
    assert [*first.images, *second.images] == list(split.images)
    assert (len(first.images), len(second.images)) == (3, 5)
    with pytest.raises(ValueError, match="0 <= start < stop <= 1"):
        split.part(0.5, 0.5)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \[4\]"):
        prepare_split(annotations(), (1, 4))
    with pytest.raises(ValueError, match="an empty collection"):
        prepare_split(annotations(), ())
    empty = annotations() | {"annotations": []}
    with pytest.raises(ValueError, match="No image is left: 8 images, none with a box of the 1 categories"):
        prepare_split(empty, (1,))


def test_lvis_images_are_named_by_their_url() -> None:
    assert image_file_name({"coco_url": "http://host/val2017/000000000139.jpg"}) == "val2017/000000000139.jpg"
    assert image_file_name({"file_name": "a/b.jpg", "coco_url": "http://host/c/d.jpg"}) == "a/b.jpg"


def test_coco_images_are_named_with_the_folder_of_their_url() -> None:
    assert image_file_name({"file_name": "d.jpg", "coco_url": "http://host/val2017/d.jpg"}) == "val2017/d.jpg"
    assert image_file_name({"file_name": "e.jpg", "coco_url": "http://host/val2017/d.jpg"}) == "e.jpg"
