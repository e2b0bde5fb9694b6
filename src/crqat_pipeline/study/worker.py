"""What a worker does with the cells of a study: it takes one after another, until all are there."""

from __future__ import annotations

import os
from pathlib import Path

from crqat_pipeline.recipes.worker_fault import has_fault, told_fault
from crqat_pipeline.runtime.claims import Claims
from crqat_pipeline.study.cell import Cell, CellPlace, run_cell
from crqat_pipeline.study.job import StudyJob, read_study_job
from crqat_pipeline.study.teachers import make_teacher_file
from crqat_pipeline.training.workers.process import RUN_IS_OVER


def carry_out(folder: Path) -> None:
    """Run cells that no other worker is at, each as one process would; end when every cell has its row.

    A cell whose teacher is missing waits for it, unless nobody trains it yet. An error that would come again is written
    down and ends all workers.
    """
    if has_fault(folder):
        return
    with told_fault(folder):
        job = read_study_job(folder)
        claims = Claims(job.study.workers.silence_s, on_lost=_end)
        cells = list(job.places.items())
        claims.share_out(
            [place.row for _, place in cells],
            lambda index: _take(*cells[index], job, claims),
            lambda: has_fault(folder),
        )


def _take(cell: Cell, place: CellPlace, job: StudyJob, claims: Claims) -> bool:
    """Train the cell's teacher, or run it; False where another worker is at that."""
    if not place.teacher.is_file():
        with claims.on(place.teacher) as is_ours:
            if is_ours:
                make_teacher_file(job.problem, cell.seed, place.teacher)
        return is_ours
    with claims.on(place.row) as is_ours:
        if is_ours:
            run_cell(cell, job.study, job.problem, place, claims)
    return is_ours


def _end() -> None:
    """Another worker has taken up what this one was at: two in one folder of checkpoints would disturb one another."""
    os._exit(RUN_IS_OVER)
