"""A project folder like this one in which every run is a smoke run: the commands of the docs are cheap there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession

from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint
from crqat_pipeline.structures.checkpoint import Checkpoint

PLACES = "data_root: data\nresults_root: data/08_reporting/study\n"
"""Where the environment smoke writes in such a folder: where base does, so that paths of the docs are there."""
LINKED = ("src/crqat_pipeline", "examples", "benchmarks")


class SmokeProject:
    """conf/local has what conf/smoke has: `kedro run` without an environment is a smoke run, too."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.folder, self.data, self.conf = folder, folder / "data", folder / "conf"
        shutil.copytree(project / "conf", self.conf)
        (self.conf / "smoke" / "globals.yml").write_text(PLACES, encoding="utf-8")
        shutil.rmtree(self.conf / "local")
        shutil.copytree(self.conf / "smoke", self.conf / "local")
        for name in ("pyproject.toml", "dvc.yaml", "Makefile"):
            shutil.copy(project / name, folder / name)
        (folder / "src").mkdir()  # Kedro wants it to lie in the folder
        for name in LINKED:
            (folder / name).symlink_to(project / name, target_is_directory=True)

    @property
    def store(self) -> str:
        """The URI of the MLflow store."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def run(self, *names: str, params: dict[str, Any] | None = None) -> None:
        configure_project("crqat_pipeline")
        with KedroSession.create(
            project_path=self.folder,
            conf_source=str(self.conf),
            env="smoke",
            runtime_params=params or {},
            save_on_close=False,
        ) as session:
            session.run(pipeline_names=list(names))

    def checkpoint(self, path: str) -> Checkpoint:
        return SafetensorsCheckpoint(filepath=str(self.data / "06_models" / path)).load()

    def copy(self, folder: Path) -> SmokeProject:
        """The same, with all data and runs, in another folder that is not there yet."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return self.at(folder)

    @classmethod
    def at(cls, folder: Path) -> SmokeProject:
        """The one that lies in this folder already."""
        found = cls.__new__(cls)
        found.folder, found.data, found.conf = folder, folder / "data", folder / "conf"
        return found
