"""The project's own conf, run in the smoke environment in a temporary folder; one whole run for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession

from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint


class SmokeProject:
    """The project's own conf in a temporary folder, writing there."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project, self.data, self.conf = project, folder / "data", folder / "conf"
        shutil.copytree(project / "conf", self.conf)
        (self.conf / "smoke" / "globals.yml").write_text(f"data_root: {self.data}\n", encoding="utf-8")

    def run(self, *names: str, params: dict | None = None) -> None:
        configure_project("crqat_pipeline")
        with KedroSession.create(
            project_path=self.project,
            conf_source=str(self.conf),
            env="smoke",
            runtime_params=params or {},
            save_on_close=False,
        ) as session:
            session.run(pipeline_names=list(names))

    def checkpoint(self, path: str):
        return SafetensorsCheckpoint(filepath=str(self.data / "06_models" / path)).load()


@pytest.fixture(scope="session")
def whole_run(project, mlflow_template, tmp_path_factory):
    """`kedro run --pipelines=crqat_full --env=smoke`, once for all files."""
    folder = tmp_path_factory.mktemp("smoke")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        prepared = SmokeProject(project, folder)
        prepared.run("crqat_full")
    return prepared


@pytest.fixture(scope="module")
def smoke(whole_run):
    """The whole run, with its MLflow store in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{whole_run.data.parent / 'mlflow.db'}")
        yield whole_run
