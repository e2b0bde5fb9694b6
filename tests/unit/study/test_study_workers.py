"""Cells of a study on real workers: the rows of one process, and a killed worker's cell run again."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from crqat_pipeline.runtime.repeating import repeating
from crqat_pipeline.study.cell import Cell, run_cell, student_keys
from crqat_pipeline.study.job import StudyJob, read_study_job, write_study_job
from crqat_pipeline.study.on_workers import run_on_workers
from crqat_pipeline.study.run import Placement
from crqat_pipeline.study.teachers import train_teacher
from crqat_pipeline.study.worker import carry_out
from tests.support.tiny_study import study_problem, study_spec

pytestmark = pytest.mark.slow
CELLS = [Cell("qat", "final", 0, 1e-4), Cell("ptq_omse", "final", 0, 0.0)]


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    return study_problem(tmp_path_factory.mktemp("images"))


def places(study, problem, folder):
    placement = Placement(folder / "study", folder / "rows", study, problem)
    return {cell: placement.cell(cell) for cell in CELLS}


def figures(row):
    return {name: value for name, value in row.items() if name != "seconds"}


@pytest.fixture(scope="module")
def alone(problem, tmp_path_factory):
    """What each cell gives in one process."""
    study = study_spec()
    found = places(study, problem, tmp_path_factory.mktemp("alone"))
    train_teacher(problem, 0, found[CELLS[0]].teacher)
    return {cell: figures(run_cell(cell, study, problem, place)) for cell, place in found.items()}


def kill_who_claims(pattern: str, killed: list[int]) -> bool:
    """Ends the process that is at a file of this name, and says whether it found one: its number is in the claim."""
    folder, _, name = pattern.rpartition("/")
    for claim in Path(folder).glob(f".{name}.claim-*"):
        pid = claim.read_text().split(" ")[1:2]
        if pid:
            killed.append(int(pid[0]))
            os.kill(killed[0], signal.SIGKILL)
    return bool(killed)


@pytest.mark.parametrize("engine", ["torchrun", "ray"])
def test_workers_give_the_rows_of_one_process_though_one_is_killed(problem, alone, tmp_path, engine):
    if engine == "ray" and find_spec("ray") is None:
        pytest.skip("Ray is not installed here (extra ray)")
    study = study_spec(workers={"engine": engine, "num_workers": 2})
    heard, killed = [], []
    with repeating(lambda: kill_who_claims(f"{tmp_path}/rows/qat-*.json", killed), 0.05, "kill"):
        run_on_workers(study, problem, places(study, problem, tmp_path), tmp_path / "study", "test", heard.append)
    assert killed
    assert sorted(row["method"] for row in heard) == sorted(cell.method for cell in CELLS)
    assert {row["method"]: figures(row) for row in heard} == {cell.method: row for cell, row in alone.items()}
    assert not (tmp_path / "study" / "workers").exists()
    assert not [path for path in tmp_path.rglob("*") if ".claim-" in path.name or path.suffix == ".resume"]


def test_a_job_reads_back_as_it_was_written(problem, tmp_path):
    study = study_spec(workers={"engine": "torchrun", "num_workers": 2})
    found = places(study, problem, tmp_path)
    write_study_job(tmp_path / "job", StudyJob(study, problem, found))
    read = read_study_job(tmp_path / "job")
    assert read.study == study
    assert read.places == found
    assert read.problem.qat is read.problem.tuning_qat
    assert read.problem.final.truths == problem.final.truths
    assert places(study, read.problem, tmp_path) == found
    for cell, place in found.items():
        keys = [student_keys(cell, study, one, place.base_key) for one in (problem, read.problem)]
        assert keys[0] == keys[1]


def test_what_a_worker_refuses_is_written_down_and_ends_the_others(problem, tmp_path):
    study = study_spec(calibration_draw=1)
    found = places(study, problem, tmp_path)
    job = StudyJob(study_spec(calibration_draw=1000), problem, {CELLS[0]: found[CELLS[0]]})
    train_teacher(problem, 0, found[CELLS[0]].teacher)
    write_study_job(tmp_path / "job", job)
    with pytest.raises(ValueError, match="it asks for 1000 of 12"):
        carry_out(tmp_path / "job")
    carry_out(tmp_path / "job")  # a worker that is started again for it ends at once
    assert not list((tmp_path / "rows").glob("*.json"))
