"""What objects are called, counted by hand."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from crqat_pipeline.evaluation.confusion import box_ious, called_names, confusion_rows, near_synonyms
from crqat_pipeline.evaluation.detection_table import DetectionTable

NAMES = {1: "lamp", 2: "ceiling fan", 3: "dog"}


def _object(image_id: int, category_id: int, x: float, crowd: int = 0) -> dict[str, Any]:
    return {"id": 1, "image_id": image_id, "category_id": category_id, "bbox": [x, 0, 10, 10], "area": 100,
            "iscrowd": crowd}  # fmt: skip


def _found(image_id: int, category_id: int, x: float, score: float) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": [x, 0, 10, 10], "score": score}


def test_the_most_confident_overlapping_detection_names_an_object() -> None:
    truth = {
        "images": [{"id": 1}, {"id": 2}, {"id": 3}],
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
        "annotations": [_object(1, 1, 0), _object(1, 3, 50), _object(2, 1, 0), _object(3, 3, 0), _object(2, 3, 80, 1)],
    }
    found = [
        _found(1, 1, 0, 0.4),
        _found(1, 2, 1, 0.6),  # overlaps more confidently
        _found(1, 3, 50, 0.2),
        _found(2, 1, 0, 0.1),
        _found(2, 2, 8, 0.9),  # too far away
        _found(2, 2, 80, 0.9),  # on a crowd
    ]
    names = called_names(truth, DetectionTable.from_records(found))
    assert names == Counter({(1, 2): 1, (3, 3): 1, (1, 1): 1})
    (row,) = confusion_rows({"QAT": names, "PTQ": Counter()}, NAMES)
    assert (row.true_name, row.called_name, row.num_objects) == ("lamp", "ceiling fan", 2)
    assert row.share_by_form["QAT"] == 0.5
    assert math.isnan(row.share_by_form["PTQ"])
    assert math.isnan(row.text_similarity)


def test_only_near_synonyms_are_listed_when_asked() -> None:
    texts = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]])
    synonyms = near_synonyms(texts, [1, 2, 3], num_neighbours=1)
    assert list(synonyms) == [(1, 2), (2, 1), (3, 2)]
    assert synonyms[1, 2] == synonyms[2, 1] > 0.99
    names = Counter({(1, 3): 9, (1, 2): 1, (2, 1): 4})
    rows = confusion_rows({"QAT": names}, NAMES, synonyms)
    assert [(row.true_name, row.called_name) for row in rows] == [("ceiling fan", "lamp"), ("lamp", "ceiling fan")]
    assert len(near_synonyms(texts, [1, 2, 3], num_neighbours=9)) == 6


def test_overlap_by_hand() -> None:
    first = np.array([[0.0, 0, 10, 10], [0, 0, 1, 1]])
    second = np.array([[5.0, 0, 10, 10], [0, 0, 10, 10]])
    assert box_ious(first, second).tolist() == [[50 / 150, 1.0], [0.0, 0.01]]
