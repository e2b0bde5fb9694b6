"""What a run measured, as the content of its report."""

from __future__ import annotations

from crqat_pipeline.evaluation.result import EvaluationResult
from crqat_pipeline.reporting.run_report.assembly import Told, alignment_of, layers_of, report_forms
from tests.unit.reporting.run_report.test_which_layers import GROUPS, LAYERS, SCORES

RESULT = EvaluationResult("coco", "fast", "shapes", 3, 2, 9, {"AP": 0.5, "AP50": 0.75, "APs": -1.0}, (), ("a note",))
LABELS = {"teacher": "Teacher", "crqat": "CR-QAT", "int4": "CR-QAT int4 file", "onnx": "CR-QAT ONNX"}


def test_forms_that_were_not_run_are_left_out() -> None:
    results = {form: {"coco": RESULT, "lvis": RESULT} for form in ("crqat", "int4")}
    facts = {form: {"size_mb": 1.0, "bops_t": 2.0} for form in results}
    forms = report_forms(results, facts, {"latency_ms": {"crqat": 3.5}, "where": "here"}, LABELS)
    assert [(form.name, form.latency_ms) for form in forms] == [("CR-QAT", 3.5), ("CR-QAT int4 file", None)]


def test_null_of_json_is_not_a_number() -> None:
    stored = {
        "num_groups": 1, "region_text_mae": 0.1, "region_region_mae": None, "region_region_r": None,
        "confidence_teacher": 0.5, "confidence_student": 0.4, "embedding_distortion_G": [0.1],
        "confidence_distortion_G": [0.2], "distortion_rho": None,
    }  # fmt: skip
    (summary,) = alignment_of({"crqat": {"alignment": stored}, "teacher": {}}, LABELS).values()
    assert summary.region_region_mae != summary.region_region_mae
    assert summary.distortion_rho != summary.distortion_rho
    assert summary.region_text_mae == 0.1


def test_each_form_has_its_own_diagnostics_and_scores() -> None:
    told = Told({}, {"crqat": (LAYERS, GROUPS), "onnx": (LAYERS[:2], GROUPS)})
    layers = layers_of(told, SCORES.assign(form="crqat"), LABELS)
    assert {label: (one.num_quantizers, one.ap_images) for label, one in layers.items()} == {
        "CR-QAT": (3, 9),
        "CR-QAT ONNX": (2, 0),
    }
    assert layers_of(told, SCORES[:0], LABELS)["CR-QAT"].ap_images == 0
