"""What could not be sent to MLflow: a file of JSON lines that is sent when the server is there again."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.tracking import report
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.folder_lock import locked_folder

logger = logging.getLogger(__name__)

FALLBACK_NAME = "tracking_fallback.jsonl"

UNREACHABLE = "INTERNAL_ERROR"
"""What MLflow's client says of a server that does not answer."""

PENDING = "pending-"
"""Begins the id of a run that MLflow does not know yet; `create` records carry it beside what makes the run."""


def is_pending(run_id: str | None) -> bool:
    return run_id is not None and run_id.startswith(PENDING)


def append(path: Path, record: report.Record) -> None:
    """A full disk is not the run's problem either."""
    try:
        with locked_folder(path.parent, waits=True), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(record), default=str) + "\n")
    except OSError as error:
        logger.debug("Could not write %s: %s", path, error)


def everything(record: report.Record) -> bool:
    return True


def resend(path: Path, client: MlflowClient, *, only: Callable[[report.Record], bool] = everything) -> Counter[str]:
    """Send what the file holds, in its order, and take from it what arrived; the counts of what did not, by kind.

    only: records that are tried; the others stay. After the first that finds no server none is tried any more. One that
    the server refuses (a run that was deleted) stays as well. Raises OSError for a file that cannot be written.
    """
    if not path.exists():
        return Counter()
    with locked_folder(path.parent, waits=True):
        return _resend(path, client, only)


def _resend(path: Path, client: MlflowClient, only: Callable[[report.Record], bool]) -> Counter[str]:
    known: dict[str, str] = {}
    left: list[str] = []
    counts: Counter[str] = Counter()
    is_there = True
    for line, record in _lines(path):
        is_asked = record is not None and record.get("run") is not None and only(record)
        if record is not None and is_asked and is_there:
            try:
                _send(client, dict(record), known)
                continue
            except MlflowException as error:
                is_there = error.error_code != UNREACHABLE
            except (FileNotFoundError, KeyError):
                pass  # an artifact that is gone; a run that could not be made
            except OSError:
                is_there = False
        if record is not None and record.get("run") in known:
            line = json.dumps({**record, "run": known[record["run"]]})
        left.append(line)
        if is_asked or record is None:
            counts[str(record["kind"]) if record else "unreadable"] += 1
    if left:
        with atomic_path(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in left), encoding="utf-8")
    else:
        path.unlink()
    return counts


def _send(client: MlflowClient, record: dict[str, Any], known: dict[str, str]) -> None:
    """known: id of a pending run -> the id that MLflow gave it, filled here."""
    pending = record["run"]
    if record["kind"] == "create":
        run = client.create_run(
            record["experiment"], start_time=record["time_ms"], run_name=record["name"], tags=record["tags"]
        )
        known[pending] = run.info.run_id
        return
    if is_pending(pending):
        record["run"] = known[pending]
    report.send(client, record)


def _lines(path: Path) -> Iterator[tuple[str, report.Record | None]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # cut off by a full disk
            yield line, None
        else:
            yield line, record if isinstance(record, dict) and "kind" in record else None
