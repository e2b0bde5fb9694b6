"""dvc.yaml says what pipelines, catalog and imports say."""

import shutil
import subprocess
from copy import deepcopy

import pytest

from tests.support.dvc_agreement import (
    StageFacts,
    code_disagreements,
    derived_stages,
    disagreements,
    uncached_outputs,
    written_stages,
)


@pytest.fixture(scope="module")
def derived(project) -> dict[str, StageFacts]:
    return derived_stages(project)


def test_stages_paths_and_parameters(project, derived):
    assert disagreements(derived, written_stages(project)) == []


def test_code_dependencies_cover_what_a_stage_imports(project):
    assert code_disagreements(project) == []


def test_differences_are_named(derived):
    wrong = deepcopy(derived)
    wrong["teacher"].outs = {"data/06_models/teacher/renamed.safetensors"}
    wrong["teacher"].params.discard("conf/base/parameters_teacher.yml:teacher")
    wrong["evaluation"].cmd = "kedro run"
    del wrong["int4_export"]
    lines = disagreements(derived, wrong)
    assert "dvc.yaml lacks the stage int4_export" in lines
    assert "teacher: outs lacks data/06_models/teacher/teacher.safetensors" in lines
    assert "teacher: params lacks conf/base/parameters_teacher.yml:teacher" in lines
    assert any(line.startswith("teacher: outs has data/06_models/teacher/renamed.safetensors") for line in lines)
    assert any(line.startswith("evaluation: cmd is 'kedro run'") for line in lines)
    assert len(lines) == 5


def test_a_parameter_of_stage_two_concerns_stage_two_alone(derived):
    own = {name for name, facts in derived.items() if any("stage2_neck_head" in each for each in facts.params)}
    assert own == {"stage2_neck_head"}


def test_git_keeps_what_dvc_does_not(project):
    """Else a clone lacks it after `dvc pull`, runs its stage again, and `dvc metrics diff` has nothing to compare."""
    if shutil.which("git") is None or not (project / ".git").exists():
        pytest.skip("no Git repository here")
    paths = uncached_outputs(project)
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *paths], cwd=project, capture_output=True, text=True, check=False
    )
    assert ignored.stdout.split() == []
    kept = subprocess.run(["git", "ls-files", "--", *paths], cwd=project, capture_output=True, text=True, check=True)
    assert sorted(set(paths) - set(kept.stdout.split())) == []
