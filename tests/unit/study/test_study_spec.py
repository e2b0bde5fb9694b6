"""What a study refuses before it starts, and the stages that a method becomes."""

import pytest
from pydantic import ValidationError

from crqat_pipeline.curriculum.plan import PLANS
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.study.spec import MethodSpec
from crqat_pipeline.study.stages import bits_of, stage_specs
from tests.support.tiny_study import STUDY, study_spec

EVERY_TERM = {"pkd": {"weight": 6.0}, "trkd": {"weight": 6.0}, "qfd": {}, "vocabulary": {}}


def with_method(**method):
    return study_spec(methods=STUDY["methods"] | {"other": {"label": "Other"} | method})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tuning_seeds": [1, 2]}, r"chose a rate must not be reported; both lists have \[1\]"),
        ({"seeds": [0]}, "seeds"),
        ({"learning_rates": []}, "learning_rates"),
        ({"only": ["crqta"]}, r"Unknown study method 'crqta'\. Did you mean 'crqat'\?"),
        ({"tables": [{"title": "T", "methods": ["kd"]}]}, "Unknown study method 'kd'"),
        ({"method": {}}, "method"),
    ],
)
def test_an_impossible_study_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        study_spec(**changes)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"plan": "two_stages"}, r"Unknown curriculum plan 'two_stages'\. Did you mean 'two_stage'\?"),
        ({"ptq_rule": "max"}, "ptq_rule"),
        ({"rate_of": "qta"}, "Unknown study method 'qta'"),
        ({"reference": "quat"}, "Unknown study method 'quat'"),
        ({"rate_of": "other"}, r"rate_of names a method that is tuned itself; other names 'other'"),
        ({"label": ""}, "label"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"distillation": {"task_weight": 0.0}}, "Something must be minimized"),
    ],
)
def test_an_impossible_method_is_refused(method, message):
    with pytest.raises(ValidationError, match=message):
        with_method(**method)


def test_all_methods_are_chosen_unless_some_are_named():
    assert study_spec().chosen == ("qat", "ptq_omse", "crqat")
    assert study_spec(only=["crqat"]).chosen == ("crqat",)
    assert study_spec(only="crqat qat").chosen == ("crqat", "qat")  # as --params can say it
    with pytest.raises(ValidationError, match="Unknown study method 'crqat,qat'"):
        study_spec(only="crqat,qat")


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("num_steps", [8, 150, 1001])
def test_steps_of_all_stages_sum_to_those_of_the_study(plan, num_steps):
    study = study_spec(optimization=STUDY["optimization"] | {"num_steps": num_steps})
    specs = stage_specs(MethodSpec(label="x", plan=plan), study, 1e-4)
    assert sum(spec.optimization.num_steps for spec in specs) == num_steps
    for spec, stage in zip(specs, PLANS[plan].stages, strict=True):
        assert spec.optimization.num_steps == pytest.approx(stage.share * num_steps, abs=1)


def test_fewer_steps_than_a_plan_has_room_for_are_refused():
    with pytest.raises(ValueError, match=r"'correction' gets none of the .* Raise num_steps"):
        stage_specs(MethodSpec(label="x", plan="corrected"), study_spec(), 1e-4)


def test_two_stages_of_150_steps_share_images_parts_and_terms():
    study = study_spec(optimization=STUDY["optimization"] | {"num_steps": 150})
    method = MethodSpec(label="x", plan="two_stage", distillation=EVERY_TERM, prompt_split="base")
    first, second = stage_specs(method, study, 3e-4)
    assert (first.name, second.name) == ("stage1_backbone", "stage2_neck_head")
    assert (first.parts, second.parts) == (("backbone",), ("backbone", "neck", "head"))
    assert (first.optimization.num_steps, second.optimization.num_steps) == (50, 100)
    assert first.data_window == (0, pytest.approx(1 / 3))
    assert second.data_window == (first.data_window[1], 1)
    assert (first.distillation.pkd.weight, first.distillation.trkd, first.distillation.qfd) == (6, None, None)
    assert second.distillation == method.distillation
    for spec in (first, second):
        assert spec.optimization.learning_rate == 3e-4
        assert spec.prompt_split == "base"
        assert spec.loader == study.loader
        assert spec.is_quantized


def test_a_rate_factor_of_the_plan_multiplies_the_rate(monkeypatch):
    stages = [stage.model_copy(update={"rate_factor": 0.5}) for stage in PLANS["two_stage"].stages[1:]]
    changed = PLANS["two_stage"].model_copy(update={"stages": (PLANS["two_stage"].stages[0], *stages)})
    monkeypatch.setattr("crqat_pipeline.study.stages.PLANS", {"two_stage": changed})
    specs = stage_specs(MethodSpec(label="x", plan="two_stage"), study_spec(), 4e-4)
    assert [spec.optimization.learning_rate for spec in specs] == [4e-4, 2e-4]


def test_the_correction_of_ema_qc_sees_all_images_and_keeps_no_average():
    method = MethodSpec(label="x", plan="corrected", ema_decay=0.99)
    qat, correction = stage_specs(method, study_spec(optimization=STUDY["optimization"] | {"num_steps": 80}), 1e-4)
    assert (qat.optimization.num_steps, correction.optimization.num_steps) == (70, 10)
    assert (qat.optimization.ema_decay, correction.optimization.ema_decay) == (0.99, None)
    assert (qat.trains, correction.trains) == ("weights", "correction")
    assert qat.data_window == correction.data_window == (0, 1)
    assert qat.parts == correction.parts == ("backbone", "neck", "head")


def test_bits_and_calibration_rule_of_a_method_replace_those_of_the_run():
    run = QuantSpec.parse("4-4-8", weight_initialization="lsq")
    assert bits_of(MethodSpec(label="x"), run) == run
    narrow = bits_of(MethodSpec(label="x", bits=(3, 3, 8)), run)
    assert (narrow.weight_bits, narrow.activation_bits, narrow.attention_bits) == (3, 3, 8)
    assert narrow.weight_initialization == "lsq"
    calibrated = bits_of(MethodSpec(label="x", ptq_rule="percentile"), run)
    assert calibrated.weight_initialization == calibrated.activation_initialization == "percentile"
    with pytest.raises(ValidationError):
        bits_of(MethodSpec(label="x", bits=(0, 4, 8)), run)
