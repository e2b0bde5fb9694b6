"""The whole study: teachers, the grid of learning rates, and every method at its best rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crqat_pipeline.study.cell import Cell, CellPlace, Row, read_row, run_cell, student_keys
from crqat_pipeline.study.cell_data import calibrated_on, trained_on
from crqat_pipeline.study.on_workers import run_on_workers
from crqat_pipeline.study.pool import StudyPool
from crqat_pipeline.study.problem import Phase, StudyProblem, key_of, split_key
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.study.teachers import teacher_path, train_teacher

MEASURED = {"image_size_px", "batch_size", "score_threshold", "max_detections", "alignment_images"}
"""Fields of EvaluationSpec that a cell's figures depend on."""


@dataclass(frozen=True)
class _CellJob:
    cell: Cell
    study: StudySpec
    place: CellPlace


def _run_cell(job: _CellJob, problem: StudyProblem) -> Row:
    return run_cell(job.cell, job.study, problem, job.place)


def _train_teacher(job: tuple[int, Path], problem: StudyProblem) -> None:
    train_teacher(problem, *job)


class Placement:
    """File names that contain keys of what the files depend on."""

    def __init__(self, folder: Path, rows: Path, study: StudySpec, problem: StudyProblem) -> None:
        self._folder, self._rows, self._study, self._problem = folder, rows, study, problem
        self._train = split_key(problem.train)
        self._trained: dict[tuple[Phase, int | None], str] = {}
        measured = problem.evaluation.model_dump(include=MEASURED)
        self._scored = {
            name: key_of(split_key(scored.data), sorted(scored.truths), measured, *draws)
            for name, scored, draws in (
                ("tuning", problem.tuning, ()),
                ("final", problem.final, [study.image_draws] if study.image_draws else ()),
            )
        }

    def teacher(self, seed: int) -> Path:
        return teacher_path(self._folder / "teachers", self._problem, self._train, seed)

    def cell(self, cell: Cell) -> CellPlace:
        teacher = self.teacher(cell.seed)
        base_key = key_of(teacher.name, self._trained_key(cell))
        keys = student_keys(cell, self._study, self._problem, base_key)
        row = self._rows / f"{cell.label}-{key_of(keys, self._scored[cell.phase])}.json"
        return CellPlace(row, self._folder / "students", teacher, base_key)

    def _trained_key(self, cell: Cell) -> str:
        """Of the images that the cell trains on and is calibrated on."""
        which = (cell.phase, None if self._study.calibration_draw is None else cell.seed)
        if which not in self._trained:
            trained = trained_on(cell.phase, self._problem)
            calibrated = calibrated_on(cell.phase, cell.seed, self._study, self._problem)
            self._trained[which] = key_of(split_key(trained), split_key(calibrated))
        return self._trained[which]


def tuning_cells(study: StudySpec, methods: Iterable[str]) -> list[Cell]:
    """Grid × tuning seeds of every method that trains and chooses its own rate."""
    own = dict.fromkeys(study.methods[name].rate_of or name for name in methods)
    trained = [name for name in own if study.methods[name].is_trained]
    return [
        Cell(name, "tuning", seed, rate)
        for name in trained
        for rate in study.rates(name)
        for seed in study.tuning_seeds
    ]


def best_rates(study: StudySpec, rows: Sequence[Row]) -> dict[str, float]:
    """method -> the rate with the highest mean of the selection metric over the tuning seeds.

    A rate at which a training diverged is out. Raises ValueError where every rate is out.
    """
    best: dict[str, float] = {}
    for method in dict.fromkeys(str(row["method"]) for row in rows):
        means: dict[float, float] = {}
        for rate in study.rates(method):
            values = [
                row.get(study.selection_metric, math.nan)
                for row in rows
                if row["method"] == method and row["learning_rate"] == rate
            ]
            if values and all(math.isfinite(value) for value in values):
                means[rate] = sum(values) / len(values)
        if not means:
            raise ValueError(
                f"{method} has no learning rate at which every tuning seed gave {study.selection_metric!r}; tried "
                f"{list(study.rates(method))}. Add lower rates, or clip gradients."
            )
        best[method] = max(means, key=lambda rate: (means[rate], -rate))
    return best


def final_cells(study: StudySpec, methods: Iterable[str], rates: dict[str, float]) -> list[Cell]:
    """Every method at its rate, seed by seed of those reported: a study that is cut off has whole seeds to pair."""
    return [
        Cell(name, "final", seed, rates.get(study.methods[name].rate_of or name, 0.0))
        for seed in study.seeds
        for name in methods
    ]


def run_study(
    study: StudySpec, problem: StudyProblem, folder: Path, rows: Path, report: Callable[[Row], None]
) -> list[Row]:
    """Rows of all cells of the chosen methods, tuning first. `report` hears of every row as it is finished.

    folder: teachers and students. rows: one file per finished cell. What is there is not run again, and no teacher is
    trained whose cells are all finished. With `study.finished_only` nothing is run, and missing cells are left out.
    """
    placement = Placement(folder, rows, study, problem)
    tuned = _rows_of(tuning_cells(study, study.chosen), "learning rates", study, problem, placement, report, folder)
    cells = final_cells(study, study.chosen, best_rates(study, tuned))
    return [*tuned, *_rows_of(cells, "study", study, problem, placement, report, folder)]


def _rows_of(
    cells: Sequence[Cell],
    label: str,
    study: StudySpec,
    problem: StudyProblem,
    placement: Placement,
    report: Callable[[Row], None],
    folder: Path,
) -> list[Row]:
    jobs = {cell: _CellJob(cell, study, placement.cell(cell)) for cell in cells}
    if study.finished_only:
        return [read_row(job.place.row) for job in jobs.values() if job.place.row.is_file()]
    missing = [job for job in jobs.values() if not job.place.row.is_file()]
    if missing and study.workers.is_shared:
        run_on_workers(study, problem, {job.cell: job.place for job in missing}, folder, label, report)
        missing = []
    teachers = {job.cell.seed: job.place.teacher for job in missing if not job.place.teacher.is_file()}
    if teachers:
        with StudyPool(problem, study.processes, study.threads_per_process) as pool:
            for _ in pool.run(list(teachers.items()), _train_teacher, f"{label}: teachers"):
                pass
    if missing:
        # Workers that train no teacher need not hold its images.
        small = replace(problem, train=problem.qat)
        with StudyPool(small, study.processes, study.threads_per_process) as pool:
            for _, row in pool.run(missing, _run_cell, label):
                report(row)
    return [read_row(job.place.row) for job in jobs.values()]
