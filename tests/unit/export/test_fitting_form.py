import pytest

from crqat_pipeline.export.onnx.fitting_form import check_form, chosen_form, has_pre_activation
from crqat_pipeline.export.onnx.form_table import FORMS
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.onnx.runtime import runtime_for
from tests.support.small_students import minmax_spec, small_detector, small_student


def test_auto_follows_how_the_detector_was_trained():
    plain, with_outputs = small_student(minmax_spec()), small_student(minmax_spec(pre_activation_bits=8))
    assert [has_pre_activation(each) for each in (small_detector(), plain, with_outputs)] == [False, False, True]
    assert [chosen_form(each, "auto") for each in (small_detector(), plain, with_outputs)] == [
        "fp32",
        "openvino",
        "fast",
    ]
    assert chosen_form(with_outputs, "spec") == "spec"


def test_a_form_without_the_pre_activation_quantizers_is_refused_for_a_student_that_has_them():
    student = small_student(minmax_spec(pre_activation_bits=8))
    with pytest.raises(ValueError, match=r"'openvino' leaves out pre-activation.*Export the form fast, spec, tensorrt"):
        check_form(student, "openvino")
    for form in sorted(set(FORMS) - {"openvino"}):
        check_form(student, form)
    check_form(small_student(minmax_spec()), "openvino")


def test_a_missing_package_names_the_extra():
    require_onnx()
    with pytest.raises(ValueError, match=r"onnxruntime cannot be found.*pip install 'crqat-pipeline\[onnx\]'"):
        require_onnx(lambda package: package != "onnxruntime")


def test_forms_are_proved_in_the_runtime_they_are_for():
    pytest.importorskip("openvino")
    assert [runtime_for(form) for form in ("openvino", "fast")] == ["openvino", "onnxruntime"]
