"""Input that does not fit is refused with counts and first offenders."""

from __future__ import annotations

from typing import Any

import pytest
from evaluation_scenes import random_scene

from crqat_pipeline.evaluation import EvaluationInputError, evaluate


def _result(**changes: Any) -> dict[str, Any]:
    return {"image_id": 11, "category_id": 2, "bbox": [1, 1, 9, 9], "score": 0.5} | changes


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"image_id": 5}, r"on images of the ground truth.*Found 3: record 0 \(image 5, category 2"),
        ({"category_id": 99}, r"of categories of the ground truth.*Found 3: record 0 \(image 11, category 99"),
        ({"score": float("nan")}, r"Scores must be finite.*Found 3.*score nan"),
        ({"bbox": [1, 1, -4, 9]}, r"above 0 pixels.*Found 3.*bbox \[1.0, 1.0, -4.0, 9.0\]"),
        ({"bbox": [1, 1, 0, 9]}, r"above 0 pixels.*Found 3"),
        ({"bbox": [float("inf"), 1, 2, 9]}, r"must be finite.*Found 3"),
        ({"bbox": [1, 1, 9]}, r"COCO results format.*Found 3: record 0: ValueError bbox has 3"),
        ({"image_id": "11"}, r"integer image_id.*Found 3: record 0: TypeError"),
        ({"image_id": 11.5}, r"integer image_id.*Found 3: record 0: TypeError"),
        ({"score": None}, r"number as score.*Found 3"),
    ],
)
def test_bad_detections(changes: dict[str, Any], text: str) -> None:
    truth, _ = random_scene(0, federated=False)
    with pytest.raises(EvaluationInputError, match=f"(?s){text}"):
        evaluate(truth, [_result(**changes)] * 3 + [_result()], "coco")


def test_all_faults_come_at_once_and_long_lists_are_shortened() -> None:
    truth, _ = random_scene(0, federated=False)
    with pytest.raises(EvaluationInputError, match="and 2 more") as caught:
        evaluate(truth, [_result(image_id=5)] * 7 + [_result(score=float("inf"))], "coco")
    assert [one.count for one in caught.value.faults] == [7, 1]


@pytest.mark.parametrize(("federated", "protocol"), [(True, "coco"), (False, "lvis"), (False, "lvis-fixed")])
def test_wrong_protocol_for_the_file(federated: bool, protocol: str) -> None:
    truth, detections = random_scene(0, federated=federated)
    with pytest.raises(
        EvaluationInputError, match=r"does not fit the ground truth.*Use '.* Found 6: image \d+; .*1 more"
    ):
        evaluate(truth, detections, protocol)


def test_unknown_names_are_answered_with_the_choices() -> None:
    truth, detections = random_scene(0, federated=False)
    with pytest.raises(ValueError, match="Did you mean 'lvis-fixed'"):
        evaluate(truth, detections, "lvis_fixed")
    with pytest.raises(ValueError, match="Choose one of: fast, reference"):
        evaluate(truth, detections, "coco", "slow")


def test_bad_ground_truth() -> None:
    truth, detections = random_scene(0, federated=False)
    truth["annotations"][0]["image_id"] = 4
    truth["annotations"][1]["category_id"] = 4
    with pytest.raises(EvaluationInputError, match=r"(?s)images of the file. Found 1: annotation 0 on image 4.*"
                       r"categories of the file. Found 1: annotation 1 of category 4"):  # fmt: skip
        evaluate(truth, detections, "coco")
    with pytest.raises(EvaluationInputError, match=r"needs this list\. Found 1: categories"):
        evaluate({"images": [], "annotations": []}, detections, "coco")


@pytest.mark.parametrize(
    "changes",
    [
        {"bbox": [1, 1, -2, 3]},
        {"bbox": [float("nan"), 1, 2, 3]},
        {"bbox": [1, 1, 2, None]},
        {"area": float("inf")},
        {"area": -1},
    ],
)
def test_annotations_are_measured(changes: dict[str, Any]) -> None:
    truth, detections = random_scene(0, federated=False)
    truth["annotations"][2] |= changes
    with pytest.raises(EvaluationInputError, match=r"must be finite numbers, .*Found 1: annotation 2 with bbox \["):
        evaluate(truth, detections, "coco")


def test_lvis_files_need_frequencies() -> None:
    truth, detections = random_scene(0, federated=True)
    del truth["categories"][0]["frequency"]
    del truth["images"][0]["not_exhaustive_category_ids"]
    with pytest.raises(EvaluationInputError, match=r"(?s)frequency r, c or f.*Found 1.*not_exhaustive.*Found 1"):
        evaluate(truth, detections, "lvis")


def test_splits_of_unknown_categories() -> None:
    truth, detections = random_scene(0, federated=False)
    with pytest.raises(EvaluationInputError, match="Found 1: novel: 7"):
        evaluate(truth, detections, "coco", category_splits={"novel": [2, 7]})


def test_ids_and_boxes_of_the_ground_truth() -> None:
    truth, detections = random_scene(0, federated=False)
    truth["images"][0]["id"] = "11"
    truth["annotations"][0]["bbox"] = [1, 2, 3]
    with pytest.raises(
        EvaluationInputError, match=r"(?s)must be integers\. Found 1: 11.*four numbers.*Found 1: annotation 0"
    ):
        evaluate(truth, detections, "coco")
