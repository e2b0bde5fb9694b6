"""A dummy project with three stages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kedro.framework.project import configure_project

from tests.support.dummy_project import DummyProject
from tests.support.dummy_stages import CATALOG, EVALUATION, stage


@pytest.fixture
def dummy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DummyProject]:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    project = DummyProject(tmp_path, monkeypatch)
    project.write("base", "catalog", CATALOG)
    project.write("base", "parameters", {"run": {"seed": 3}})
    project.write("base", "parameters_teacher", {"teacher": {"train": {"num_steps": 3}}})
    project.write("base", "parameters_baselines", {"baselines": {"qat": {"train": {"num_steps": 2}}}})
    project.register(teacher=stage("teacher"), baselines=stage("qat", "baselines.qat"), evaluation=EVALUATION)
    yield project
    monkeypatch.undo()
    configure_project("crqat_pipeline")
