"""Parts of a set carry their own name; deliverables are held to their student; JSON gives back what it took."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

from crqat_pipeline.evaluation.result import EvaluationResult
from crqat_pipeline.recipes.evaluation_run import results_as_json, results_from_json, summarize, truth
from crqat_pipeline.recipes.form_spec import Forms, FormSpec
from crqat_pipeline.structures.vocabulary import Vocabulary

ANNOTATIONS: dict[str, Any] = {
    "info": {"description": "shapes"},
    "images": [{"id": i} for i in (1, 2, 3)],
    "annotations": [{"image_id": 1}, {"image_id": 3}],
    "categories": [{"id": 4}],
}
RESULT = EvaluationResult("coco", "fast", "shapes", 3, 2, 9, {"AP": 0.5, "AP50": 0.75, "APs": -1.0}, (), ("a note",))
FACTS: dict[str, Any] = {form: {"size_mb": 1.0, "bops_t": 2.0} for form in ("crqat", "int4", "onnx")}

FORMS = Forms(
    {
        "teacher": FormSpec(label="Teacher", checkpoint="teacher_checkpoint", roles=("teacher",)),
        "crqat": FormSpec(label="CR-QAT", checkpoint="stage2_neck_head_student", roles=("main",)),
        "int4": FormSpec(label="CR-QAT int4 file", checkpoint="int4_model", roles=("deliverable",)),
        "onnx": FormSpec(label="CR-QAT ONNX", checkpoint="onnx_model", roles=("deliverable", "deployed")),
    }
)


def _results(onnx_ap: float) -> dict[str, dict[str, EvaluationResult]]:
    moved = dataclasses.replace(RESULT, metrics={"AP": onnx_ap})
    return {form: {"coco": one, "lvis": one} for form, one in (("crqat", RESULT), ("int4", RESULT), ("onnx", moved))}


def test_a_part_of_a_set_says_so() -> None:
    vocabulary = Vocabulary(("cup",), (4,), splits={"base": (4,), "novel": (), "other": (5,)})
    part = truth(ANNOTATIONS, vocabulary, [1, 2, 99])
    assert part.annotations["info"]["slice"] == "shapes, 2 of 3 images"
    assert [image["id"] for image in part.annotations["images"]] == [1, 2]
    assert part.annotations["annotations"] == [{"image_id": 1}]
    assert part.category_splits == {"base": (4,)}
    assert truth(ANNOTATIONS, vocabulary, [3, 2, 1]).annotations is ANNOTATIONS
    assert truth(ANNOTATIONS, vocabulary).annotations is ANNOTATIONS


def test_a_file_made_of_the_student_is_held_to_its_ap(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        metrics = summarize(_results(0.4995), FACTS, FORMS)
    assert not caplog.records
    assert metrics["int4"]["ap_difference_to_student"] == 0.0
    assert metrics["onnx"]["ap_difference_to_student"] == pytest.approx(-0.0005)
    assert "ap_difference_to_student" not in metrics["crqat"]
    assert metrics["crqat"]["coco"] == {"AP": 0.5, "AP50": 0.75}
    with caplog.at_level(logging.WARNING):
        summarize(_results(0.504), FACTS, FORMS)
    assert "The AP of CR-QAT ONNX should be its student's to 0.3 points; it differs by +0.40" in caplog.text


def test_json_and_back() -> None:
    results = _results(0.5)
    assert results_from_json(results_as_json(results)) == results


def test_a_run_without_an_onnx_file_has_no_such_form() -> None:
    results = {form: one for form, one in _results(0.5).items() if form != "onnx"}
    assert list(summarize(results, FACTS, FORMS)) == ["crqat", "int4"]
