"""A project folder with numeric dummy pipelines, run with the real settings and hooks of this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.project import configure_project, pipelines
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ConfigDict, Field

import crqat_pipeline.pipeline_registry as registry

MLFLOW_YML = {
    "server": {"mlflow_tracking_uri": "${tracking_uri:}"},
    "tracking": {
        "experiment": {
            "name": "dummy",
            "create_experiment_kwargs": {"artifact_location": "${artifact_location:}"},
        },
        "run": {"nested": False},
    },
}


class TrainSpec(BaseModel):
    """A spec as the real ones are: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_steps: int = Field(ge=1)
    learning_rate: float = Field(default=0.1, gt=0)


class DummyProject:
    """conf/ files by environment, pipelines by name, and what MLflow knows afterwards."""

    def __init__(self, folder: Path, monkeypatch: Any) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self.stages: Mapping[str, Pipeline] = {}
        self.write("base", "mlflow", MLFLOW_YML)
        self.write("base", "globals", {"data_root": "data"})
        (folder / "conf" / "local").mkdir(parents=True, exist_ok=True)
        configure_project("crqat_pipeline")

    def write(self, env: str, name: str, content: Mapping[str, Any]) -> None:
        path = self.folder / "conf" / env / f"{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")

    def register(self, **registered: Pipeline) -> None:
        self.stages = registered
        everything = sum(registered.values(), Pipeline([]))
        content = {**registered, "crqat_full": everything, "__default__": everything}

        def requested() -> dict[str, Pipeline]:  # as find_pipelines does: only what the command names
            names = pipelines._requested_pipelines
            return {name: each for name, each in content.items() if names is None or name in names}

        self._monkeypatch.setattr(registry, "register_pipelines", requested)
        pipelines.configure("crqat_pipeline.pipeline_registry")

    def run(self, *names: str, env: str = "base", params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with KedroSession.create(
            project_path=self.folder, env=env, runtime_params=dict(params or {}), save_on_close=False
        ) as session:
            return session.run(pipeline_names=list(names) or None)

    def runs(self, uri: str) -> dict[str, Run]:
        """Runs by name."""
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("dummy")
        found = client.search_runs([experiment.experiment_id]) if experiment else []
        return {run.info.run_name: run for run in found}
