"""What is said to MLflow about a run, as a record that can be sent now, or kept in a file and sent later.

A record is a mapping of JSON values: `kind` (a row of SENDERS), `run` (the run's id), and what the kind needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking import MlflowClient

MAX_PER_BATCH = 100
"""MLflow's limit of parameters or tags in one request."""

CONTEXT_TAG = "mlflow.data.context"

Record = Mapping[str, Any]


def metrics(run_id: str | None, values: Mapping[str, float], step: int) -> Record:
    return {"kind": "metrics", "run": run_id, "step": step, "time_ms": now_ms(), "metrics": dict(values)}


def parameters(run_id: str | None, values: Mapping[str, str]) -> Iterator[Record]:
    """In portions that MLflow accepts."""
    items = list(values.items())
    for start in range(0, len(items), MAX_PER_BATCH):
        yield {"kind": "parameters", "run": run_id, "parameters": dict(items[start : start + MAX_PER_BATCH])}


def tags(run_id: str | None, values: Mapping[str, str]) -> Record:
    return {"kind": "tags", "run": run_id, "tags": dict(values)}


def artifact(run_id: str | None, path: Path, folder: str | None) -> Record:
    return {"kind": "artifact", "run": run_id, "path": str(path.resolve()), "folder": folder}


def inputs(run_id: str | None, datasets: Iterable[DatasetInput]) -> Record:
    rows = [
        {
            "name": one.dataset.name,
            "digest": one.dataset.digest,
            "source_type": one.dataset.source_type,
            "source": one.dataset.source,
            "profile": one.dataset.profile,
            "context": next((tag.value for tag in one.tags if tag.key == CONTEXT_TAG), ""),
        }
        for one in datasets
    ]
    return {"kind": "inputs", "run": run_id, "inputs": rows}


def end(run_id: str | None, status: str) -> Record:
    return {"kind": "end", "run": run_id, "status": status, "time_ms": now_ms()}


def now_ms() -> int:
    return int(time.time() * 1000)


def send(client: MlflowClient, record: Record) -> None:
    """Raises MlflowException, or what the connection raises."""
    SENDERS[record["kind"]](client, record)


def describe(record: Record) -> str:
    """For a sentence that begins with "MLflow could not"."""
    return {
        "metrics": "log metrics",
        "parameters": "log parameters",
        "tags": "set tags",
        "artifact": f"store {Path(record.get('path', '')).name}",
        "inputs": "log inputs",
        "end": f"mark the run {record.get('status')}",
    }[record["kind"]]


def _send_metrics(client: MlflowClient, record: Record) -> None:
    time_ms, step = record["time_ms"], record["step"]
    points = [Metric(name, float(value), time_ms, step) for name, value in record["metrics"].items()]
    client.log_batch(record["run"], metrics=points)


def _send_inputs(client: MlflowClient, record: Record) -> None:
    rows = [
        DatasetInput(
            Dataset(row["name"], row["digest"], row["source_type"], row["source"], profile=row.get("profile")),
            [InputTag(CONTEXT_TAG, row["context"])],
        )
        for row in record["inputs"]
    ]
    client.log_inputs(record["run"], rows)


SENDERS: Mapping[str, Callable[[MlflowClient, Record], object]] = MappingProxyType(
    {
        "metrics": _send_metrics,
        "parameters": lambda client, record: client.log_batch(
            record["run"], params=[Param(name, value) for name, value in record["parameters"].items()]
        ),
        "tags": lambda client, record: client.log_batch(
            record["run"], tags=[RunTag(name, value) for name, value in record["tags"].items()]
        ),
        "artifact": lambda client, record: client.log_artifact(record["run"], record["path"], record["folder"]),
        "inputs": _send_inputs,
        "end": lambda client, record: client.set_terminated(record["run"], record["status"], record["time_ms"]),
    }
)
"""Kind of a record -> how it is sent."""
