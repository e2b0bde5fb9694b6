"""Shared by all tests: no telemetry, one MLflow store made once and copied, the project's root, one smoke run."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.smoke_project import SmokeProject

os.environ |= {"DO_NOT_TRACK": "true", "DVC_NO_ANALYTICS": "1"}

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder with pyproject.toml."""
    return PROJECT


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite store; its migrations take seconds, so they run once."""
    from mlflow.tracking import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def mlflow_store(mlflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The tracking URI of a store of this test alone, set in the environment."""
    import mlflow

    database = tmp_path / "mlflow.db"
    shutil.copy(mlflow_template, database)
    uri = f"sqlite:///{database}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    previous = mlflow.get_tracking_uri()
    yield uri
    while mlflow.active_run():
        mlflow.end_run("KILLED")
    mlflow.set_tracking_uri(previous)


@pytest.fixture(scope="session")
def whole_run(project: Path, mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> "SmokeProject":
    """`kedro run --pipelines=crqat_full --env=smoke`, once for all tests. Who changes its files takes a copy.

    Processes that share the tests out share it: the first makes it, the others wait. Nobody is at work in it then.
    """
    from filelock import FileLock

    from tests.support.smoke_project import SmokeProject

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = shared / "whole_run", shared / "whole_run.made"
    with FileLock(shared / "whole_run.lock"):
        if made.is_file():
            return SmokeProject.at(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(mlflow_template, folder / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
            prepared = SmokeProject(project, folder)
            prepared.run("crqat_full")
        made.touch()
    return prepared
