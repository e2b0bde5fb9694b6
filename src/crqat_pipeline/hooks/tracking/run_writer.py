"""Writes to MLflow by run id, in the portions that MLflow accepts, never raising."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mlflow.entities import DatasetInput, Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.tracking.guard import TrackingGuard

MAX_PER_BATCH = 100
"""MLflow's limit of parameters or tags in one request."""


class RunWriter:
    """What the stages of one session report; each call names its run. A run id of None is a run without tracking."""

    def __init__(self, guard: TrackingGuard, client: MlflowClient | None) -> None:
        self._guard = guard
        self._client = client

    def metrics(self, run_id: str | None, values: Mapping[str, float], step: int = 0) -> None:
        """Numbers at a step; kept in the fallback file when they cannot be sent."""
        now_ms = int(time.time() * 1000)
        points = [Metric(name, float(value), now_ms, step) for name, value in values.items()]
        if not self._send(run_id, "log metrics", lambda client, run: client.log_batch(run, metrics=points)):
            self._guard.keep({"run": run_id, "step": step, "metrics": dict(values)})

    def parameters(self, run_id: str | None, values: Mapping[str, str]) -> None:
        params = [Param(name, value) for name, value in values.items()]
        for start in range(0, len(params), MAX_PER_BATCH):
            self._send_parameters(run_id, params[start : start + MAX_PER_BATCH])

    def _send_parameters(self, run_id: str | None, params: list[Param]) -> None:
        self._send(run_id, "log parameters", lambda client, run: client.log_batch(run, params=params))

    def tags(self, run_id: str | None, values: Mapping[str, str]) -> None:
        tags = [RunTag(name, value) for name, value in values.items()]
        self._send(run_id, "set tags", lambda client, run: client.log_batch(run, tags=tags))

    def artifact(self, run_id: str | None, path: Path, folder: str | None = None) -> None:
        self._send(run_id, f"store {path.name}", lambda client, run: client.log_artifact(run, str(path), folder))

    def inputs(self, run_id: str | None, datasets: Iterable[DatasetInput]) -> None:
        self._send(run_id, "log inputs", lambda client, run: client.log_inputs(run, list(datasets)))

    def end(self, run_id: str | None, status: str) -> None:
        """Close a run; tried even while the server is left alone, since nobody will try later."""
        self._send(
            run_id,
            f"mark the run {status}",
            lambda client, run: client.set_terminated(run, status),
            even_if_muted=True,
        )

    def create(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str | None:
        """A new run's id; None when tracking is off."""
        client = self._client
        if client is None:
            return None
        run = self._guard.call(
            lambda: client.create_run(experiment_id, run_name=name, tags=dict(tags)), f"open the run {name}"
        )
        return run.info.run_id if run else None

    def find(self, experiment_id: str, tag: str, value: str) -> str | None:
        """The newest run with this tag; None when there is none."""
        client = self._client
        if client is None:
            return None
        runs = self._guard.call(
            lambda: client.search_runs([experiment_id], f"tags.`{tag}` = '{value}'", max_results=1),
            "search for the parent run",
        )
        return runs[0].info.run_id if runs else None

    def reopen(self, run_id: str | None) -> None:
        """Show a run as running again."""
        self._send(run_id, "reopen the run", lambda client, run: client.update_run(run, status="RUNNING"))

    def _send(
        self,
        run_id: str | None,
        what: str,
        action: Callable[[MlflowClient, str], object],
        *,
        even_if_muted: bool = False,
    ) -> bool:
        """Whether it was sent."""
        client = self._client
        if client is None or run_id is None:
            return False

        def send() -> bool:
            action(client, run_id)
            return True

        return bool(self._guard.call(send, what, even_if_muted=even_if_muted))
