"""Cells of a study given to workers: the run that asks for them stays one process, and hears of every row."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from crqat_pipeline.recipes.worker_fault import FAULT, raise_fault
from crqat_pipeline.runtime.repeating import repeating
from crqat_pipeline.study.cell import Cell, CellPlace, Row, read_row
from crqat_pipeline.study.job import StudyJob, write_study_job
from crqat_pipeline.study.problem import StudyProblem
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.training.workers.heartbeat import alive
from crqat_pipeline.training.workers.launch import Launch
from crqat_pipeline.training.workers.table import start_workers

ENTRY = "crqat_pipeline.study.worker:carry_out"
FOLDER = "workers"
EVERY_S = 1.0
logger = logging.getLogger(__name__)


def run_on_workers(
    study: StudySpec,
    problem: StudyProblem,
    places: Mapping[Cell, CellPlace],
    folder: Path,
    label: str,
    report: Callable[[Row], None],
) -> None:
    """Every cell has its row when this ends; `report` hears of each, as rows appear.

    folder: of the study. Raises what a worker refused, and WorkersLostError.
    """
    job_folder, token, workers = folder / FOLDER, uuid.uuid4().hex[:12], study.workers
    (job_folder / FAULT).unlink(missing_ok=True)
    logger.info("%s: %d cells on %d workers of %s", label, len(places), workers.num_workers, workers.engine)
    write_study_job(job_folder, StudyJob(study, problem, places))
    unheard = [place.row for place in places.values()]

    def hear() -> None:
        for row in [row for row in unheard if row.is_file()]:
            unheard.remove(row)
            logger.info("%s: %s, %d cells left", label, row.stem, len(unheard))
            report(read_row(row))

    with alive(job_folder, token):
        try:
            with repeating(hear, EVERY_S, "rows of workers"):
                start_workers(Launch(ENTRY, job_folder.resolve(), token, problem.device, workers, is_group=False))
        finally:
            raise_fault(job_folder)
    hear()
    shutil.rmtree(job_folder, ignore_errors=True)
