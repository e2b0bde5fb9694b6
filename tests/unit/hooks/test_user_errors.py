"""What the user can mend is one screen; a fault of ours stays a traceback."""

from __future__ import annotations

import json
import os
import pickle
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError

from crqat_pipeline.catalog_io.annotations import AnnotationsDataset
from crqat_pipeline.hooks.run_command import command
from crqat_pipeline.hooks.tracking.stage_runs import TrackerDataset
from crqat_pipeline.hooks.user_errors import LOG_FILE, keep_traceback, panel, users_error
from crqat_pipeline.runtime.device import choose_device


def raised(function, *arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function(*arguments)
    return caught.value


def wrapped(error):
    """As Kedro's catalog raises it."""
    outer = DatasetError(f"train_set: {error}")
    outer.__cause__ = error
    return outer


def test_values_that_our_code_refuses_are_the_users(tmp_path):
    (tmp_path / "t.json").write_text("not json")
    for error in (
        raised(choose_device, "foo"),
        raised(AnnotationsDataset(filepath=str(tmp_path / "t.json")).load),
        OSError(28, "No space left on device", "weights"),
    ):
        assert users_error(error) is error
        assert users_error(wrapped(error)) is error


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (np.add, (np.zeros(2), np.zeros(3))),
        (json.loads, ("{",)),
        ({}.__getitem__, ("x",)),
        (len, (3,)),
        (int, ("x",)),
    ],
)
def test_what_libraries_raise_is_a_fault_of_ours(function, arguments):
    error = raised(function, *arguments)
    assert users_error(error) is None
    assert users_error(wrapped(error)) is None


def test_the_panel_keeps_long_paths_whole():
    path = "/a b/" + "ü" * 200
    assert f"  {path} is missing." in panel(ValueError(f"{path} is missing.")).splitlines()


def test_the_traceback_is_kept_or_the_way_to_it_is_said(tmp_path):
    error = raised(choose_device, "foo")
    assert str(tmp_path / LOG_FILE) in keep_traceback(error, tmp_path)
    assert "Traceback (most recent call last)" in (tmp_path / LOG_FILE).read_text()
    assert keep_traceback(error, tmp_path / "gone") == "To see the traceback, add --verbose."


@pytest.fixture
def kedro_run(project, tmp_path, monkeypatch):
    bootstrap_project(project)
    monkeypatch.chdir(tmp_path)
    yield lambda *options: CliRunner().invoke(command, [f"--conf-source={project / 'conf'}", *options])
    pipelines.set_requested(None)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--env=smok"], "No environment 'smok'"),
        (["--env=smok"], "Did you mean 'smoke'?"),
        (["--env=smoke", "--pipelines=data_prp"], "No pipeline 'data_prp'. Did you mean 'data_prep'?"),
        (["--env=smoke", "--pipelines=teacher", "--runner=ParallelRunner"], "ParallelRunner cannot run teacher"),
    ],
)
def test_wishes_that_cannot_be_granted_are_one_screen(kedro_run, tmp_path, options, text):
    result = kedro_run(*options)
    assert result.exit_code == 1
    assert text in result.stderr
    assert len(result.stderr.splitlines()) < 8
    assert "Traceback" not in result.stderr
    assert "Traceback" in (tmp_path / LOG_FILE).read_text()
    assert isinstance(kedro_run(*options, "--verbose").exception, ValueError)


BROKEN = {
    "a key twice": ("run: {seed: 1}\nrun: {seed: 2}\n", "'run' twice"),
    "no YAML": ("run: [\n", "is no YAML"),
    "contains itself": ("a: &a [*a, *a]\n", "contains itself"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_configuration_that_cannot_be_read_is_one_screen(project, tmp_path, monkeypatch, kind):
    content, text = BROKEN[kind]
    shutil.copytree(project / "conf", tmp_path / "conf")
    path = tmp_path / "conf" / "local" / "parameters_mine.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    bootstrap_project(project)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, [f"--conf-source={tmp_path / 'conf'}", "--pipelines=data_prep"])
    pipelines.set_requested(None)
    assert result.exit_code == 1
    assert text in result.stderr
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) < 8
    assert "Traceback" not in result.stderr


def test_parameters_that_cannot_be_are_one_screen(kedro_run):
    result = kedro_run("--env=smoke", "--pipelines=teacher", "--params=run.device=foo")
    assert result.exit_code == 1
    assert "run.device: A device is auto, cpu, cuda or cuda:<number>; got 'foo'" in result.output
    assert len(result.output.splitlines()) < 8


def test_the_tracker_can_be_sent_to_other_processes_as_nothing():
    assert pickle.loads(pickle.dumps(TrackerDataset(lambda: os.getpid()))).exists() is False
