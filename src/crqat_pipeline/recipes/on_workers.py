"""A training stage given to workers: the run that asks for it stays one process, with one tracker and one result."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crqat_pipeline.recipes.finished_stage import StageKeep, read_result
from crqat_pipeline.recipes.specs import RunSpec
from crqat_pipeline.recipes.stage_data import StageResult
from crqat_pipeline.recipes.stage_job import StageJob, write_job
from crqat_pipeline.recipes.worker_lines import following
from crqat_pipeline.recipes.worker_start import work_off
from crqat_pipeline.training.tracker import NullTracker, Tracker

ENTRY = "crqat_pipeline.recipes.worker:carry_out"
FOLDER = "workers"
LINES, RESULT = "lines.jsonl", "result.safetensors"
logger = logging.getLogger(__name__)


def train_on_workers(job: StageJob, run: RunSpec, label: str, tracker: Tracker | None) -> StageResult:
    """The result of the first worker. Raises what a worker refused, and WorkersLostError."""
    folder = job.checkpoints / FOLDER
    for name in (LINES, RESULT):
        (folder / name).unlink(missing_ok=True)
    workers = run.workers
    logger.info("%s: on %d workers of %s, each with a part of every batch", label, workers.num_workers, workers.engine)
    write_job(folder, job)
    with following(folder / LINES, tracker or NullTracker()):
        work_off(ENTRY, folder, run.device, workers, is_group=True)
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
