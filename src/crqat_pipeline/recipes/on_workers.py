"""A training stage given to workers: the run that asks for it stays one process, with one tracker and one result."""

from __future__ import annotations

import logging
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crqat_pipeline.recipes.finished_stage import StageKeep, read_result
from crqat_pipeline.recipes.specs import RunSpec
from crqat_pipeline.recipes.stage_data import StageResult
from crqat_pipeline.recipes.stage_job import StageJob, write_job
from crqat_pipeline.recipes.worker_fault import FAULT, raise_fault
from crqat_pipeline.recipes.worker_lines import following
from crqat_pipeline.training.tracker import NullTracker, Tracker
from crqat_pipeline.training.workers.heartbeat import alive
from crqat_pipeline.training.workers.launch import Launch
from crqat_pipeline.training.workers.table import start_workers

ENTRY = "crqat_pipeline.recipes.worker:carry_out"
FOLDER = "workers"
LINES, RESULT = "lines.jsonl", "result.safetensors"
logger = logging.getLogger(__name__)


def train_on_workers(job: StageJob, run: RunSpec, label: str, tracker: Tracker | None) -> StageResult:
    """The result of the first worker. Raises what a worker refused, and WorkersLostError."""
    folder, token = job.checkpoints / FOLDER, uuid.uuid4().hex[:12]
    for name in (LINES, RESULT, FAULT):
        (folder / name).unlink(missing_ok=True)
    workers = run.workers
    logger.info("%s: on %d workers of %s, each with a part of every batch", label, workers.num_workers, workers.engine)
    write_job(folder, job)
    with alive(folder, token), following(folder / LINES, tracker or NullTracker()):
        try:
            start_workers(Launch(ENTRY, folder.resolve(), token, run.device, workers))
        finally:
            raise_fault(folder)
    result = read_result(folder / RESULT)
    shutil.rmtree(folder, ignore_errors=True)
    return result


@contextmanager
def checkpoint_folder(keep: StageKeep | None) -> Iterator[Path]:
    """Where checkpoints are kept; for a stage that keeps none, a folder that is gone afterwards."""
    if keep is not None:
        yield keep.checkpoints
    else:
        with tempfile.TemporaryDirectory(prefix="crqat_") as folder:
            yield Path(folder)
