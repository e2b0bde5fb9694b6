"""A copy that is deleted keeps nothing."""

from pathlib import Path

from crqat_pipeline.hooks.tracking.kept_folder import kept_folder


def test_a_copy_of_a_queued_experiment_keeps_its_runs_in_the_project():
    assert kept_folder(Path("/lab/project/.dvc/tmp/exps/tmpx1f3")) == Path("/lab/project")
    assert kept_folder(Path("/lab/project/.dvc/tmp/exps/tmpx1f3/part")) == Path("/lab/project")


def test_a_project_keeps_its_own():
    for folder in ("/lab/project", "/lab/.dvc/tmp/exps", "/lab/exps/project"):
        assert kept_folder(Path(folder)) == Path(folder)
