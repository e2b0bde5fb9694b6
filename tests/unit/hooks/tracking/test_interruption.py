"""Ctrl-C and SIGTERM leave KILLED runs, in a process of its own."""

import os
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests were started in the background
from pathlib import Path
import pytest
from kedro.pipeline import Node, Pipeline
from tests.support.dummy_project import DummyProject

def wait(tracker) -> dict:
    tracker.metrics({"loss": 1.0}, 0)
    Path(sys.argv[1], "started").touch()
    time.sleep(60)
    return {}

project = DummyProject(Path(sys.argv[1]), pytest.MonkeyPatch())
project.write("base", "catalog", {})
waiting = Node(wait, "tracker", "a", name="wait", namespace="teacher")
after = Node(lambda a: a, "a", "b", name="next", namespace="qat")
project.register(teacher=Pipeline([waiting]), qat=Pipeline([after]))
project.run("crqat_full")
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, None)])
def test_an_interrupted_run_is_killed(dummy, mlflow_store, project, number, code):
    environment = os.environ | {"PYTHONPATH": str(project)}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(dummy.folder)], env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    started = dummy.folder / "started"
    while not started.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(number)
    returned = process.wait(timeout=30)
    assert returned == code if code else returned != 0
    statuses = {name: run.info.status for name, run in dummy.runs(mlflow_store).items()}
    assert statuses == {"crqat_full": "KILLED", "teacher": "KILLED"}
