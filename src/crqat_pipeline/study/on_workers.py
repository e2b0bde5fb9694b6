"""Cells of a study given to workers: the run that asks for them stays one process, and hears of every row."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from crqat_pipeline.recipes.worker_start import work_off
from crqat_pipeline.runtime.repeating import repeating
from crqat_pipeline.study.cell import Cell, CellPlace, Row, read_row
from crqat_pipeline.study.job import StudyJob, write_study_job
from crqat_pipeline.study.problem import StudyProblem
from crqat_pipeline.study.spec import StudySpec

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
    job_folder, workers = folder / FOLDER, study.workers
    logger.info("%s: %d cells on %d workers of %s", label, len(places), workers.num_workers, workers.engine)
    write_study_job(job_folder, StudyJob(study, problem, places))
    unheard = [place.row for place in places.values()]

    def hear() -> None:
        for row in [row for row in unheard if row.is_file()]:
            unheard.remove(row)
            logger.info("%s: %s, %d cells left", label, row.stem, len(unheard))
            report(read_row(row))

    with repeating(hear, EVERY_S, "rows of workers"):
        work_off(ENTRY, job_folder, problem.device, workers, is_group=False)
    hear()
    shutil.rmtree(job_folder, ignore_errors=True)
