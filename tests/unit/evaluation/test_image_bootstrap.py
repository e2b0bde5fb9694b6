"""AP on images drawn with replacement."""

import numpy as np
import pytest

from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.image_bootstrap import bootstrap_ap, drawn_images

NUM_IMAGES, NUM_CATEGORIES = 7, 4


@pytest.fixture(scope="module")
def scored():
    """Annotations with a crowd box and an image without boxes, and detections near and far from them."""
    generator = np.random.default_rng(3)
    images = [{"id": 10 + i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in range(NUM_IMAGES)]
    boxes, found = [], []
    for image in images[:-1]:
        for _ in range(5):
            sides = [*generator.uniform(0, 120, 2), *generator.uniform(10, 70, 2)]
            category = int(generator.integers(1, NUM_CATEGORIES + 1))
            boxes.append(
                {"id": len(boxes) + 1, "image_id": image["id"], "category_id": category, "bbox": sides}
                | {"area": sides[2] * sides[3], "iscrowd": int(len(boxes) == 4)}
            )
            for spread in (3, 12, 60):
                moved = [float(value) for value in np.abs(np.array(sides) + generator.normal(0, spread, 4)) + 1]
                score = float(generator.random())
                found.append({"image_id": image["id"], "category_id": category, "bbox": moved, "score": score})
    categories = [{"id": 1 + k, "name": f"c{k}"} for k in range(NUM_CATEGORIES)]
    return {"images": images, "annotations": boxes, "categories": categories}, found


def repeated(truth, found, rows):
    """The set with the images at these rows, each under an id of its own."""
    images, boxes, detections = [], [], []
    for position, row in enumerate(rows):
        old, new = truth["images"][row]["id"], 1000 + position
        images.append({**truth["images"][row], "id": new})
        boxes += [{**one, "image_id": new} for one in truth["annotations"] if one["image_id"] == old]
        detections += [{**one, "image_id": new} for one in found if one["image_id"] == old]
    boxes = [{**one, "id": number + 1} for number, one in enumerate(boxes)]
    return {**truth, "images": images, "annotations": boxes}, detections


def test_each_draw_is_the_ap_of_a_set_that_repeats_the_drawn_images(scored):
    truth, found = scored
    values = bootstrap_ap(truth, DetectionTable.from_records(found), 12, seed=5)
    expected = [evaluate(*repeated(truth, found, rows), "coco").metrics["AP"] for rows in drawn_images(7, 12, seed=5)]
    np.testing.assert_allclose(values, expected, atol=1e-9)


def test_draws_are_the_same_for_every_detector(scored):
    truth, found = scored
    better = [{**one, "score": one["score"] / 2} for one in found]
    first, second = (bootstrap_ap(truth, DetectionTable.from_records(one), 5) for one in (found, better))
    np.testing.assert_allclose(first, second, atol=1e-9)


def test_a_set_without_objects_has_no_figure(scored):
    truth, found = scored
    table = DetectionTable.from_records(found)
    assert np.isnan(bootstrap_ap({**truth, "annotations": []}, table, 3)).all()
