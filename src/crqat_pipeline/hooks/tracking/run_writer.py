"""Writes to MLflow by run id, never raising; what could not be sent is kept and sent at the end of the run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import uuid4

from mlflow.entities import DatasetInput
from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.tracking import report, unsent
from crqat_pipeline.hooks.tracking.comparison_page import describe_experiment
from crqat_pipeline.hooks.tracking.guard import TrackingGuard

logger = logging.getLogger(__name__)


class RunWriter:
    """What the stages of one session report; each call names its run. A run id of None is a run without tracking."""

    def __init__(self, guard: TrackingGuard, client: MlflowClient | None) -> None:
        self._guard = guard
        self._client = client
        self._kept_runs: set[str] = set()  # with something in the fallback file

    def metrics(self, run_id: str | None, values: Mapping[str, float], step: int = 0) -> None:
        """Numbers at a step."""
        self._deliver(report.metrics(run_id, values, step))

    def parameters(self, run_id: str | None, values: Mapping[str, str]) -> None:
        for record in report.parameters(run_id, values):
            self._deliver(record)

    def tags(self, run_id: str | None, values: Mapping[str, str]) -> None:
        self._deliver(report.tags(run_id, values))

    def artifact(self, run_id: str | None, path: Path, folder: str | None = None) -> None:
        self._deliver(report.artifact(run_id, path, folder))

    def inputs(self, run_id: str | None, datasets: Iterable[DatasetInput]) -> None:
        self._deliver(report.inputs(run_id, datasets))

    def end(self, run_id: str | None, status: str) -> None:
        """Close a run; tried even while the server is left alone, since nobody will try later."""
        self._deliver(report.end(run_id, status), even_if_muted=True)

    def create(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str | None:
        """A new run's id; None when tracking is off. Without a server the run is made when there is one again."""
        client = self._client
        if client is None:
            return None
        run = self._guard.call(
            lambda: client.create_run(experiment_id, run_name=name, tags=dict(tags)), f"open the run {name}"
        )
        if run is not None:
            return str(run.info.run_id)
        pending = f"{unsent.PENDING}{uuid4().hex}"
        self._keep(
            {
                "kind": "create",
                "run": pending,
                "experiment": experiment_id,
                "name": name,
                "tags": dict(tags),
                "time_ms": report.now_ms(),
            }
        )
        return pending

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

    def describe(self, experiment_id: str) -> None:
        """Give the experiment its comparison page."""
        client = self._client
        if client is not None:
            self._guard.call(lambda: describe_experiment(client, experiment_id), "describe the experiment")

    def reopen(self, run_id: str) -> None:
        """Show a run as running again."""
        client = self._client
        if client is not None and not unsent.is_pending(run_id):
            self._guard.call(lambda: client.update_run(run_id, status="RUNNING"), "reopen the run")

    def resend(self) -> None:
        """Send what this session could not send; says what is still left, and where."""
        client, path = self._client, self._guard.fallback_path
        if client is None or not self._kept_runs:
            return
        mine = self._kept_runs
        left = self._guard.call(
            lambda: unsent.resend(path, client, only=lambda record: record["run"] in mine),
            "take what was kept for it",
            even_if_muted=True,
        )
        if left is None or left:
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted((left or {}).items()))
            logger.warning(
                "MLflow lacks %s of this run, kept in %s. Send them when the server is there: crqat runs --send %s",
                kinds or "a part",
                path,
                path,
            )
        else:
            logger.info("MLflow has everything now that it could not take before.")
            self._kept_runs = set()

    def _deliver(self, record: report.Record, *, even_if_muted: bool = False) -> None:
        client, run_id = self._client, record["run"]
        if client is None or run_id is None or unsent.is_pending(run_id):
            self._keep(record)
            return

        def send() -> bool:
            report.send(client, record)
            return True

        if not self._guard.call(send, report.describe(record), even_if_muted=even_if_muted):
            self._keep(record)

    def _keep(self, record: report.Record) -> None:
        if self._guard.keep(record) and record["run"] is not None:
            self._kept_runs.add(record["run"])
