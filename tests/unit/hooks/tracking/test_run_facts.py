"""Commit, changes and DVC stage of a run."""

import subprocess

from crqat_pipeline.hooks.tracking.flat_values import MAX_PARAMETER_CHARACTERS, flat_metrics, flat_parameters
from crqat_pipeline.hooks.tracking.run_facts import commit, group_name, run_tags


def git(folder, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_commit_and_changes_of_the_sources_only(tmp_path):
    git(tmp_path, "init", "-q")
    assert commit(tmp_path) is None
    for name in ("src", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "data" / "file").write_text("2")
    tags = run_tags(tmp_path, "smoke", {"DVC_STAGE": "teacher"})
    assert tags == {
        "kedro.env": "smoke",
        "mlflow.source.git.commit": commit(tmp_path),
        "git.dirty": "false",
        "dvc.stage": "teacher",
    }
    (tmp_path / "src" / "file").write_text("2")
    assert run_tags(tmp_path, None, {})["git.dirty"] == "true"


def test_runs_name_the_revision_whose_lock_they_compare_with(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    first = commit(tmp_path)
    assert run_tags(tmp_path, "base", {"DVC_STAGE": "teacher"})["dvc.rev"] == first
    assert run_tags(tmp_path, None, {})["dvc.rev"] == first
    assert "dvc.rev" not in run_tags(tmp_path, "smoke", {})
    assert run_tags(tmp_path, "base", {"DVC_STAGE": "teacher", "DVC_EXP_BASELINE_REV": "abc"})["dvc.rev"] == "abc"


def test_outside_git_there_is_no_commit(tmp_path):
    assert run_tags(tmp_path, None, {}) == {"kedro.env": "local"}


def test_groups_follow_commit_and_parameters(tmp_path):
    stage = {"DVC_STAGE": "teacher"}
    assert group_name(tmp_path, {"a": "1"}, {}) is None
    assert group_name(tmp_path, {"a": "1"}, stage) == group_name(tmp_path, {"a": "1"}, {"DVC_STAGE": "evaluation"})
    assert group_name(tmp_path, {"a": "1"}, stage) != group_name(tmp_path, {"a": "2"}, stage)
    assert group_name(tmp_path, {"a": "1"}, stage | {"DVC_EXP_NAME": "w3"}) == "w3"


def test_values_are_flattened():
    assert flat_parameters({}) == {}
    assert flat_parameters({"a": {"b": [1, 2], "c": {}}, "d": "x" * 9000}) == {
        "a.b": "[1, 2]",
        "a.c": "{}",
        "d": "x" * MAX_PARAMETER_CHARACTERS,
    }
    assert flat_metrics({"qat": {"AP": 0.5, "ok": True, "note": "x"}, "AP@50": 1}) == {"qat/AP": 0.5, "AP_50": 1.0}
