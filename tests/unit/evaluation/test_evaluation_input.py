"""Input that does not fit is refused with counts and first offenders."""

from __future__ import annotations

from typing import Any

import pytest

from crqat_pipeline.evaluation import EvaluationInputError, evaluate
from tests.support.evaluation_scenes import random_scene


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
        ({"image_id": "eleven"}, r"integer image_id.*Found 3: record 0: ValueError must be a whole"),
        ({"image_id": 11.5}, r"integer image_id.*Found 3: record 0: ValueError must be a whole"),
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
    with pytest.raises(EvaluationInputError, match=r"(?s)images of the file. Found 1: annotation 0 is of image 4.*"
                       r"categories of the file. Found 1: annotation 1 is of category 4"):  # fmt: skip
        evaluate(truth, detections, "coco")
    with pytest.raises(EvaluationInputError, match=r"needs this list\. Found 1: 'categories' must be a list"):
        evaluate({"images": [], "annotations": []}, detections, "coco")


@pytest.mark.parametrize(
    "changes",
    [{"bbox": [1, 1, -2, 3]}, {"bbox": [float("nan"), 1, 2, 3]}, {"bbox": [1, 1, 2, None]}, {"bbox": None}],
)
def test_boxes_that_cannot_be_measured_are_left_out_and_said(changes: dict[str, Any]) -> None:
    truth, detections = random_scene(0, federated=False)
    without = {**truth, "annotations": [one for one in truth["annotations"] if one["id"] != 2]}
    expected = evaluate(without, detections, "coco").metrics
    truth["annotations"][2] |= changes
    result = evaluate(truth, detections, "coco")
    assert result.metrics == expected
    assert any("box of no numbers: 1 (annotation 2: box" in note for note in result.notes)


@pytest.mark.parametrize("area", [float("inf"), -1, float("nan"), None])
def test_an_area_that_is_none_is_the_boxs(area: float | None) -> None:
    truth, detections = random_scene(0, federated=False)
    for one in truth["annotations"]:
        one["area"] = one["bbox"][2] * one["bbox"][3]
    expected = evaluate(truth, detections, "coco").metrics
    truth["annotations"][2]["area"] = area
    assert evaluate(truth, detections, "coco").metrics == expected


def test_mostly_faulty_boxes_are_refused() -> None:
    truth, detections = random_scene(0, federated=False)
    for one in truth["annotations"]:
        one["bbox"] = [5, 5, -1, 3]
    with pytest.raises(EvaluationInputError, match=r"width and height not below 0.*boxes are faulty, 100%"):
        evaluate(truth, detections, "coco")


def test_ids_may_be_texts() -> None:
    truth, detections = random_scene(0, federated=False)
    expected = evaluate(truth, detections, "coco").metrics
    for image in truth["images"]:
        image["id"] = f"{image['id']:012d}"
    for one in detections:
        one["image_id"] = str(one["image_id"])
    assert evaluate(truth, detections, "coco").metrics == expected


def test_odd_detections_are_said() -> None:
    truth, _ = random_scene(0, federated=False)
    result = evaluate(truth, [_result(score=97), _result(score=97), _result()], "coco")
    assert "2 scores are above 1, the highest 97; only their order counts." in result.notes
    assert any(note.startswith("1 detections repeat another one") for note in result.notes)


def test_a_split_may_not_hide_a_figure() -> None:
    truth, detections = random_scene(0, federated=False)
    with pytest.raises(EvaluationInputError, match=r"may not be called like a figure.*Found 1: AP"):
        evaluate(truth, detections, "coco", category_splits={"AP": [2]})


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
    truth["images"][0]["id"] = "eleven"
    truth["categories"][0]["splits"] = 5
    with pytest.raises(
        EvaluationInputError,
        match=r"(?s)fields of COCO.*Found 2: images\[0\].id must be a whole number; got 'eleven'; categories\[0\].sp",
    ):
        evaluate(truth, detections, "coco")
