"""The rows of a report: those that were scored, by LVIS figures where there are some, else by COCO's."""

from __future__ import annotations

from crqat_pipeline.evaluation.result import EvaluationResult
from crqat_pipeline.reporting.run_report.assembly import report_forms

COCO = EvaluationResult("coco", "fast", "shapes", 3, 2, 9, {"AP": 0.5, "AP50": 0.75}, (), ())
LVIS = EvaluationResult("lvis", "fast", "shapes", 3, 2, 9, {"AP": 0.25}, (), ())
LABELS = {"teacher": "Teacher", "crqat": "CR-QAT", "onnx": "ONNX"}
FACTS = {form: {"size_mb": 1.0, "bops_t": 2.0} for form in LABELS}
LATENCY = {"latency_ms": {"crqat": 3.5}, "where": "here"}


def test_a_form_that_was_not_scored_is_not_shown() -> None:
    forms = report_forms({form: {"coco": COCO} for form in ("teacher", "crqat")}, FACTS, LATENCY, LABELS)
    assert [(form.name, form.latency_ms) for form in forms] == [("Teacher", None), ("CR-QAT", 3.5)]


def test_without_lvis_annotations_the_report_is_about_the_coco_figures() -> None:
    (with_both,) = report_forms({"crqat": {"coco": COCO, "lvis": LVIS}}, FACTS, LATENCY, LABELS)
    assert (with_both.evaluation, with_both.other_figures) == (LVIS, {"AP": 0.5, "AP50": 0.75})
    (alone,) = report_forms({"crqat": {"coco": COCO}}, FACTS, LATENCY, LABELS)
    assert (alone.evaluation, alone.other_figures) == (COCO, {})
