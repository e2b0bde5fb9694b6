"""kedro-mlflow's hook, guarded: a tracking server that is down costs a warning, never the run."""

from __future__ import annotations

import logging
import os
from typing import Any

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.tracking.guard import TrackingGuard
from crqat_pipeline.hooks.tracking.kept_folder import kept_folder

IMPATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
}
"""Defaults of the session: with MLflow's own, a server that is down holds up every call for minutes, a missing git
takes 15 lines, and nobody sees what processor and memory did."""

TALKATIVE = "mlflow.store.db.utils"
"""It logs a traceback of a hundred lines for each call on a full disk; the guard says in one that the call failed."""


class SafeMlflowHook(MlflowHook):  # type: ignore[misc]
    """Opens the session's run when nodes are about to run, and closes it.

    Commands that run nothing do not touch the store. Parameters, metrics and stages are the business of StageRunsHook.
    """

    def __init__(self, guard: TrackingGuard) -> None:
        super().__init__()
        self._guard = guard
        self._context: KedroContext | None = None

    @property
    def client(self) -> MlflowClient | None:
        """None while no run is open."""
        return self.mlflow_config.server._mlflow_client if self.run_id else None

    @property
    def experiment_id(self) -> str:
        return str(self.mlflow_config.tracking.experiment._experiment.experiment_id) if self.run_id else ""

    @property
    def experiment_name(self) -> str:
        return str(self.mlflow_config.tracking.experiment.name) if self.run_id else ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Only read mlflow.yml (`kedro mlflow ui` wants it); the store is opened before the run."""
        loader: Any = context.config_loader
        loader.config_patterns.setdefault("mlflow", ["mlflow*", "mlflow*/**", "**/mlflow*"])
        context.mlflow = KedroMlflowConfig.model_validate(loader["mlflow"])  # type: ignore[attr-defined]
        self._context = context
        self._guard.reset(kept_folder(context.project_path))

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> None:
        self.run_id = None
        for variable, value in IMPATIENCE.items():
            os.environ.setdefault(variable, value)
        logging.getLogger(TALKATIVE).setLevel(logging.CRITICAL)
        self._guard.call(lambda: self._open(run_params, pipeline, catalog), "open a run")

    def _open(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> None:
        try:
            super().after_context_created(self._context)
            super().before_pipeline_run(run_params, pipeline, catalog)
        except Exception:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Forget a run that was opened only half."""
        self.run_id = None
        while mlflow.active_run():
            mlflow.end_run("FAILED")

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> None:
        self.close("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> None:
        self.close("FAILED")

    def close(self, status: str) -> None:
        """End the session's run, unless it was open before the session began (an orchestrator's)."""
        if self.run_id and not self._already_active_mlflow:
            self._guard.call(lambda: mlflow.end_run(status), f"mark the run {status}", even_if_muted=True)
        self.run_id = None

    def after_catalog_created(self, *arguments: Any, **named: Any) -> None:
        """Not a hook here: there are no Mlflow*Datasets to rename, and it would build every dataset of the catalog."""

    def before_node_run(self, *arguments: Any, **named: Any) -> None:
        """Not a hook here: it would log whole specs as one text each, and push the run again before every node."""
