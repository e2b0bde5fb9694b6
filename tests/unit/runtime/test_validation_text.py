"""Faults of values in short lines."""

import pytest
from pydantic import BaseModel, ValidationError, model_validator

from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.runtime.validation_text import fault_line, faults_text, short_value


class Pair(BaseModel):
    first: int
    second: int
    rest: list[int] = []

    @model_validator(mode="after")
    def _differ(self):
        if self.first == self.second:
            raise ValueError(f"Both must differ; got {self.first} twice.")
        return self


def fault_of(value):
    with pytest.raises(ValidationError) as refusal:
        Pair.model_validate(value)
    return refusal.value


def test_a_rule_of_ours_about_a_whole_section_does_not_print_the_section():
    error = fault_of({"first": 1, "second": 1, "rest": list(range(1000))})
    (fault,) = error.errors()
    assert fault_line("pair", fault["input"], fault["msg"]) == "pair: Both must differ; got 1 twice."
    assert faults_text(error) == "Both must differ; got 1 twice"


def test_a_value_is_told_and_cut_where_it_is_long():
    (fault,) = fault_of({"first": "x" * 5000, "second": 2}).errors()
    line = fault_line("pair.first", fault["input"], fault["msg"])
    assert line.startswith("pair.first = 'xxx")
    assert line.endswith("xxx': Input should be a valid integer, unable to parse string as an integer.")
    assert len(line) < 200
    assert short_value(list(range(1000))) == "[0, 1, 2, 3, 4, 5, ...]"
    assert short_value([4, 4, 8]) == "[4, 4, 8]"


def test_of_many_names_the_first_and_the_nearest_are_told():
    names = {f"method_{number:03}": number for number in range(500)}
    with pytest.raises(ValueError, match=r"Did you mean 'method_4\d+'.* and 476 more\.") as refusal:
        look_up(names, "methd_41", "method")
    assert len(str(refusal.value)) < 500
