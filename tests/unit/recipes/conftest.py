"""A tiny problem that several files of this room train on."""

import pytest

from crqat_pipeline.recipes.specs import RunSpec
from crqat_pipeline.recipes.teacher import make_teacher
from tests.support.tiny_study import study_problem


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    return study_problem(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def teacher(problem):
    """Trained from scratch."""
    return make_teacher(problem.detector, problem.qat, problem.teacher, RunSpec(seed=0, device="cpu")).student
