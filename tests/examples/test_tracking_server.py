"""A real MLflow server before a real PostgreSQL, on loopback: two runs at once, a server that goes and comes back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("psycopg2") is None, reason="psycopg2 is not installed (extra server)"),
]

RUN = """
import sys
from pathlib import Path
import pytest
from tests.support.dummy_project import DummyProject
from tests.support.dummy_stages import CATALOG, EVALUATION, stage

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
project = DummyProject(folder, pytest.MonkeyPatch())
project.write("base", "catalog", CATALOG)
project.write("base", "parameters", {"run": {"seed": steps}})
project.write("base", "parameters_teacher", {"teacher": {"train": {"num_steps": steps}}})
project.write("base", "parameters_baselines", {"baselines": {"qat": {"train": {"num_steps": steps}}}})
project.register(teacher=stage("teacher"), baselines=stage("qat", "baselines.qat"), evaluation=EVALUATION)
project.run("crqat_full")
"""

HELD_STAGES = """
from kedro.pipeline import Node, Pipeline

def hold(tracker, folder=folder) -> dict:
    tracker.metrics({"loss": 1.0}, 0)
    wait("half", "go_on")
    tracker.metrics({"loss": 0.5}, 1)
    wait("away", "finish")
    return {"weights": 1}

def wait(said, awaited):
    (folder / said).touch()
    while not (folder / awaited).exists():
        time.sleep(0.1)

def score(student) -> dict:
    return {"AP": 0.1}

held = Node(hold, "tracker", "teacher_student", name="hold", namespace="teacher")
scored = Node(score, "teacher_student", "evaluation_metrics", name="score", namespace="evaluation")
project.register(teacher=Pipeline([held]), evaluation=Pipeline([scored]))
"""


@pytest.fixture(scope="module")
def serve(project):
    spec = spec_from_file_location("serve", project / "examples/tracking_server/serve.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        module.find_program("initdb")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return module


@pytest.fixture(scope="module")
def database(serve):
    folder = Path(tempfile.mkdtemp(prefix="crqat_db_"))  # the account of the database must be able to enter it
    folder.chmod(0o755)
    one = serve.Database(folder / "database")
    one.start()
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


class Server:
    """MLflow on a free port of loopback, stopped and started again on the same one."""

    def __init__(self, serve, database, artifacts: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._command = serve.server_command(artifacts, "127.0.0.1", self.port, workers=1)
        self._environment = serve.server_environment(database.uri)

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=self._environment, start_new_session=True, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                assert self._process.poll() is None, "the server ended"
                time.sleep(0.3)
        raise AssertionError("the server did not answer")

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, 15)
            self._process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(serve, database, tmp_path_factory):
    one = Server(serve, database, tmp_path_factory.mktemp("artifacts"))
    one.start()
    yield one
    one.stop()


def start_run(project, server, folder, steps, code=RUN):
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": server.uri,
        "PYTHONPATH": os.pathsep.join([str(project), str(project / "src"), os.environ.get("PYTHONPATH", "")]),
    }
    folder.mkdir()
    return subprocess.Popen([sys.executable, "-c", code, str(folder), str(steps)], env=environment)


def finished(process):
    assert process.wait(timeout=300) == 0


def runs_of(server):
    client = MlflowClient(tracking_uri=server.uri)
    experiment = client.get_experiment_by_name("dummy")
    return client, client.search_runs([experiment.experiment_id])


def test_two_runs_at_once_keep_apart(project, server, tmp_path):
    both = [start_run(project, server, tmp_path / str(steps), steps) for steps in (3, 4)]
    for one in both:
        finished(one)
    client, runs = runs_of(server)
    for steps in (3, 4):
        mine = {run.info.run_name: run for run in runs if run.data.tags.get("seed") == str(steps)}
        assert set(mine) == {"crqat_full", "teacher", "baselines", "evaluation"}
        assert {run.info.status for run in mine.values()} == {"FINISHED"}
        assert len(client.get_metric_history(mine["teacher"].info.run_id, "loss")) == steps
        assert [file.path for file in client.list_artifacts(mine["teacher"].info.run_id)] == ["student.json"]
        assert mine["teacher"].info.artifact_uri.startswith("mlflow-artifacts:")
        assert {run.data.tags["mlflow.parentRunId"] for name, run in mine.items() if name != "crqat_full"} == {
            mine["crqat_full"].info.run_id
        }
    assert not list(tmp_path.glob("*/tracking_fallback.jsonl"))


def test_a_server_that_goes_and_comes_back_has_everything(project, server, tmp_path):
    """Stopped while the teacher trains, started again before the run ends: curve, files, later stages are there."""
    held = RUN.replace("import sys", "import sys, time").replace("project.run(", HELD_STAGES + "project.run(")
    folder = tmp_path / "held"
    process = start_run(project, server, folder, 5, held)
    wait_for(folder / "half", process)
    server.stop()
    (folder / "go_on").touch()
    wait_for(folder / "away", process)
    server.start()
    (folder / "finish").touch()
    finished(process)
    client, runs = runs_of(server)
    mine = {run.info.run_name: run for run in runs if run.data.tags.get("seed") == "5"}
    assert set(mine) == {"crqat_full", "teacher", "evaluation"}
    assert {run.info.status for run in mine.values()} == {"FINISHED"}
    teacher = mine["teacher"].info.run_id
    assert [point.value for point in client.get_metric_history(teacher, "loss")] == [1.0, 0.5]
    assert [file.path for file in client.list_artifacts(teacher)] == ["student.json"]
    assert mine["evaluation"].data.metrics == {"AP": 0.1}
    assert not (folder / "tracking_fallback.jsonl").exists()


def wait_for(path, process):
    deadline = time.monotonic() + 300
    while not path.exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.1)
    assert path.exists()
