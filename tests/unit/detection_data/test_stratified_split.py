"""A split keeps the shares of the classes, depends on the seed alone, and loses nothing."""

import numpy as np
import pytest

from crqat_pipeline.detection_data.stratified_split import stratified_split


def content(num_images=60, seed=0):
    random = np.random.default_rng(seed)
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 9, "height": 9} for number in range(num_images)]
    boxes = []
    for image in images:
        labels = [1] + [label for label, share in ((2, 0.5), (3, 0.1)) if random.random() < share]
        boxes += [
            {"id": 100 * image["id"] + label, "image_id": image["id"], "category_id": label, "bbox": [0, 0, 3, 3]}
            for label in labels
        ]
    return {"images": images, "annotations": boxes, "categories": [{"id": n, "name": str(n)} for n in (1, 2, 3)]}


def images_with(part, label):
    return {box["image_id"] for box in part["annotations"] if box["category_id"] == label}


def test_every_class_is_in_both_parts_in_its_share():
    whole = content()
    train, val = stratified_split(whole, 0.2, 0)
    assert len(val["images"]) == 12
    for label in (1, 2, 3):
        num, expected = len(images_with(val, label)), 0.2 * len(images_with(whole, label))
        assert abs(num - expected) <= 1
    assert len(train["images"]) + len(val["images"]) == 60
    assert len(train["annotations"]) + len(val["annotations"]) == len(whole["annotations"])
    assert not {one["id"] for one in train["images"]} & {one["id"] for one in val["images"]}


def test_the_seed_decides():
    first, again, other = (
        [image["id"] for image in stratified_split(content(), 0.2, seed)[1]["images"]] for seed in (0, 0, 1)
    )
    assert first == again != other
    assert first == sorted(first)


def test_a_class_of_one_image_is_trained_on():
    whole = content(20)
    whole["annotations"].append({"id": 9999, "image_id": 7, "category_id": 9, "bbox": [0, 0, 3, 3]})
    train, _ = stratified_split(whole, 0.25, 3)
    assert images_with(train, 9) == {7}


@pytest.mark.parametrize(("num_images", "share"), [(2, 0.2), (1, 0.5), (3, 1.0)])
def test_a_part_without_images_is_refused(num_images, share):
    with pytest.raises(ValueError, match="Both parts of a split need an image"):
        stratified_split(content(num_images), share, 0)
