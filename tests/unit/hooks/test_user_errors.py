"""What the user can mend is one screen; a fault of ours stays a traceback."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError
from omegaconf import OmegaConf

from crqat_pipeline.catalog_io.annotations import AnnotationsDataset
from crqat_pipeline.hooks.run_command import command
from crqat_pipeline.hooks.tracking.stage_runs import TrackerDataset
from crqat_pipeline.hooks.user_errors import LOG_FILE, keep_traceback, panel, users_error
from crqat_pipeline.pipelines.data_prep import create_pipeline
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


def test_what_kedro_says_of_a_filter_gets_a_way_out():
    error = raised(create_pipeline().from_nodes, "data_prep.nothing")
    assert users_error(error) is error
    assert "['data_prep.nothing']. `kedro registry describe <pipeline>` lists them." in panel(error)


@pytest.mark.parametrize("written", [{"a": "${b}"}, {"a": "${a}"}])
def test_a_reference_that_leads_nowhere_is_told_with_its_key(written):
    error = raised(lambda: OmegaConf.to_container(OmegaConf.create(written), resolve=True))
    lines = panel(error).splitlines()
    assert len(lines) == 3
    assert "key 'a'. Correct what it refers to" in lines[1]


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
        (["--runner=ThreadRuner"], "No runner 'ThreadRuner'. Did you mean 'ThreadRunner'?"),
        (["--runner=no_such_package.Runner"], "No runner 'no_such_package.Runner'."),
        (["--runner=collections.OrderedDict"], "'collections.OrderedDict' is no runner of Kedro"),
        (["--runner-params=workers=2"], "SequentialRunner takes is_async; --runner-params has workers"),
        (["--runner=ThreadRunner", "--runner-params=max_workers=two"], "above zero; got 'two'"),
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


TEACHER = ["--env=smoke", "--pipelines=teacher"]
SMOKE = ["--env=photos_smoke", "--pipelines=data_prep"]
CHECKED = {
    "a parameter": (
        [*TEACHER, "--params=run.device=foo"],
        "run.device: A device is auto, cpu, cuda or cuda:<number>; got 'foo'",
    ),
    "a key that is none": ([*TEACHER, "--params=rnu.seed=1"], "Did you mean 'run'?"),
    "an input": ([*SMOKE, "--params=photos=/nowhere"], "of them cannot be found"),
    "an interpolation": ([*TEACHER, "--params=run.seed=${nothing}"], "Interpolation key 'nothing' not found"),
}


@pytest.mark.parametrize("kind", CHECKED)
def test_what_the_checks_refuse_is_the_same_screen(kedro_run, tmp_path, kind):
    options, text = CHECKED[kind]
    result = kedro_run(*options)
    assert result.exit_code == 1
    assert text in result.stderr
    assert_is_a_panel(result.stderr, tmp_path)


def test_a_second_run_is_told_in_the_same_screen(dummy, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir(exist_ok=True)
    code = f"""
import sys
from pathlib import Path
from crqat_pipeline.hooks.checks.run_lock import FolderLock
lock = FolderLock(Path({str(tmp_path / "data")!r}))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        monkeypatch.chdir(tmp_path)
        result = CliRunner().invoke(command, [f"--conf-source={tmp_path / 'conf'}", "--env=base"])
    finally:
        holder.communicate()
    assert result.exit_code == 1
    assert f"process {holder.pid}" in result.stderr
    assert_is_a_panel(result.stderr, tmp_path)


def assert_is_a_panel(text, folder):
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("── Error"))
    assert lines[-2] == "─" * 80
    assert lines[-1].startswith("The traceback is in ")
    assert len(lines) - begin < 20
    assert "Traceback" not in text
    assert "Traceback" in (folder / LOG_FILE).read_text()


def test_the_traceback_of_a_check_is_shown_on_request(kedro_run):
    result = kedro_run(*TEACHER, "--params=run.device=foo", "--verbose")
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1] == "─" * 80


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--no-such", "No such option"),
        ("--params=x", "must contain a key and a value"),
        ("--params=run=[", "The value of run is no YAML"),
        ("--params=a=&a [*a]", "contains itself"),
        ("--params=" + "a." * 900 + "a=1", "at most 50 levels"),
        ("--images-per-second=3", "belongs to --dry-run"),
        ("surplus", "unexpected extra argument"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_the_same_screen(kedro_run, option, text):
    result = kedro_run(option)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert lines[0].startswith("── Error")
    assert text in result.stderr
    assert lines[-1].endswith("--help.")
    assert len(lines) < 8


def test_the_tracker_can_be_sent_to_other_processes_as_nothing():
    assert pickle.loads(pickle.dumps(TrackerDataset(lambda: os.getpid()))).exists() is False


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("env: smoke\n", "has them below 'run'"),
        ("run: [1]\n", "has them below 'run'"),
        ("run: {env: smoke\n", "is no YAML"),
        ("run: {no_such: 1}\n", "no_such"),
        ("run: &r {env: *r}\n", "contains itself|is no YAML"),
    ],
)
def test_a_file_of_options_that_cannot_be_read_is_the_same_screen(kedro_run, tmp_path, content, text):
    (tmp_path / "run.yml").write_text(content)
    result = kedro_run(f"--config={tmp_path / 'run.yml'}")
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("── Error")
    assert re.search(text, result.stderr), result.stderr
