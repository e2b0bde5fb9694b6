"""Forms are one comparison: one teacher, one main student, labels of their own."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from crqat_pipeline.recipes.form_spec import Forms, FormSpec
from crqat_pipeline.recipes.specs import EvaluationSpec

FORMS = {
    "teacher": {"label": "Teacher", "checkpoint": "teacher_checkpoint", "roles": ["teacher", "gallery"]},
    "crqat": {"label": "CR-QAT", "checkpoint": "mine/student.safetensors", "history": "own_history", "roles": ["main"]},
    "old": None,
}


def test_forms_keep_their_order_and_null_takes_one_back() -> None:
    spec = EvaluationSpec(image_size_px=64, forms=FORMS)
    assert list(spec.compared.labels.items()) == [("teacher", "Teacher"), ("crqat", "CR-QAT")]
    assert (spec.compared.teacher, spec.compared.main) == ("teacher", "crqat")
    assert spec.forms["crqat"].history == ("own_history",)
    assert [form.is_path for form in spec.forms.values()] == [False, True]
    assert spec.compared.deployed(["crqat"]) is None


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"teacher": None}, "one form has the role 'teacher'; got none"),
        ({"second": FORMS["crqat"] | {"label": "Two"}}, "one form has the role 'main'; got crqat, second"),
        ({"second": {"label": "CR-QAT", "checkpoint": "x"}}, "labels of their own"),
        ({"a-b": {"label": "x", "checkpoint": "x"}}, "a form's name has letters, digits and _; got 'a-b'"),
        ({"second": {"label": "x", "checkpoint": "x", "roles": ["galery"]}}, "'gallery'"),
        ({"second": {"label": "x", "checkpoint": "x", "layers": "x.csv"}}, "should match pattern"),
    ],
)
def test_what_is_no_comparison_is_refused(changes: dict, refusal: str) -> None:
    with pytest.raises(ValidationError, match=refusal):
        EvaluationSpec(image_size_px=64, forms=FORMS | changes)


def test_an_evaluation_without_forms_has_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="role 'teacher'; got none"):
        _ = EvaluationSpec(image_size_px=64).compared
    assert Forms({name: FormSpec.model_validate(one) for name, one in FORMS.items() if one}).having("gallery")
