"""All faults of the parameters in one message, before anything runs."""

from typing import Annotated, Literal

import pytest
from kedro.validation import ParameterValidationError
from pydantic import BaseModel, ConfigDict, Field

from crqat_pipeline.hooks.checks.parameter_faults import parameter_faults


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rate: float = Field(gt=0)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    bits: int = Field(le=8)
    inner: Inner
    maybe: Inner | None = None


class Composed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Literal["composed"]
    words: list[str]


class Precomputed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Literal["precomputed"]
    embeddings: str


class Encoding(BaseModel):
    encoder: Annotated[Composed | Precomputed, Field(discriminator="name")]


SPECS = {"stage1.train": Outer}
GOOD = {"stage1": {"train": {"bits": 4, "inner": {"rate": 0.1}}}}


def faults(parameters: dict, known: tuple[str, ...] = ()) -> list[str]:
    return parameter_faults(parameters, SPECS, {"stage1.train"}, known)


def test_good_parameters_have_none():
    assert faults(GOOD) == []


def test_every_fault_has_its_dotted_path():
    found = faults({"stage1": {"train": {"bits": 99, "inner": {"rate": -1, "ratte": 2}, "maybe": {}}}, "stagee1": 1})
    assert found == [
        "stagee1: there is no such parameter. Did you mean 'stage1'?",
        "stage1.train.bits = 99: Input should be less than or equal to 8.",
        "stage1.train.inner.rate = -1: Input should be greater than 0.",
        "stage1.train.inner.ratte: there is no such parameter. Did you mean 'rate'?",
        "stage1.train.maybe.rate: a value is required and missing.",
    ]


def test_paths_through_unions_are_those_of_the_file():
    value = {"prep": {"encoder": {"name": "precomputed", "embedings": "x", "words": []}}}
    assert parameter_faults(value, {"prep": Encoding}, {"prep"}, ()) == [
        "prep.encoder.embeddings: a value is required and missing.",
        "prep.encoder.embedings: there is no such parameter. Did you mean 'embeddings'?",
        "prep.encoder.words: there is no such parameter.",
    ]


def test_a_misspelt_section_is_missing_and_its_neighbour_is_named():
    assert faults({"stage1": {"trian": {}}}) == ["stage1.train: a value is required and missing. Did you mean 'trian'?"]


def test_keys_of_other_stages_may_stand_beside():
    assert faults(GOOD | {"teacher": {}}, known=("teacher",)) == []


def test_the_session_refuses_everything_at_once(dummy, mlflow_store):
    wrong = {
        "teacher": {"train": {"num_steps": 0, "lr": 1}},
        "baselines": {"qat": {"train": {"num_steps": "x"}}},
        "ru": 1,
    }
    with pytest.raises(ParameterValidationError) as refusal:
        dummy.run("crqat_full", params=wrong)
    text = str(refusal.value)
    assert text.startswith("4 faults in the parameters; nothing was run.")
    for path in ("teacher.train.num_steps = 0", "teacher.train.lr:", "baselines.qat.train.num_steps = 'x'", "ru:"):
        assert path in text
    assert "Did you mean 'run'?" in text
    assert not (dummy.folder / "data").exists()
    assert dummy.runs(mlflow_store) == {}


def test_a_lone_stage_is_not_held_up_by_another(dummy, mlflow_store):
    dummy.run("teacher", params={"baselines": {"qat": {"train": {"num_steps": -5}}}})


def test_an_environment_overrides_one_nested_value_and_keeps_the_rest(dummy, mlflow_store):
    dummy.write("base", "parameters_teacher", {"teacher": {"train": {"num_steps": 3, "learning_rate": 0.7}}})
    dummy.write("smoke", "parameters", {"teacher": {"train": {"num_steps": 1}}})
    dummy.run("teacher", env="smoke")
    params = dummy.runs(mlflow_store)["teacher"].data.params
    assert params == {"train.num_steps": "1", "train.learning_rate": "0.7"}
