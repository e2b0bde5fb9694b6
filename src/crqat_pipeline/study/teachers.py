"""One full-precision teacher per seed."""

from __future__ import annotations

import shutil
from pathlib import Path

from crqat_pipeline.recipes.finished_stage import StageKeep
from crqat_pipeline.recipes.specs import RunSpec
from crqat_pipeline.recipes.teacher import make_teacher
from crqat_pipeline.runtime.claims import Claims
from crqat_pipeline.runtime.verified_download import sha256_of
from crqat_pipeline.study.kept import keep_checkpoint
from crqat_pipeline.study.problem import StudyProblem, key_of


def teacher_path(folder: Path, problem: StudyProblem, train_key: str, seed: int) -> Path:
    """Where the teacher of a seed lies, or will lie; the name changes with everything it depends on.

    Of ready weights it depends on what the files hold, not on the folder they lie in, so rows that another machine
    measured count here too.
    """
    ready = _ready_weights(problem.teacher.weights)
    spec = problem.teacher.model_copy(update={"weights": None}) if ready else problem.teacher
    key = key_of("teacher", problem.detector, spec, *ready, train_key, seed)
    return folder / f"seed{seed}-{key}.safetensors"


def _ready_weights(weights: str | None) -> list[str]:
    """Digests of the file and of those that belong to it: of the same name with another ending (ncnn has two)."""
    if weights is None:
        return []
    path = Path(weights)
    return [sha256_of(one) for one in sorted(path.parent.glob(f"{path.stem}.*")) if one.is_file()] or [weights]


def train_teacher(problem: StudyProblem, seed: int, path: Path) -> None:
    """Train the teacher of a seed unless it is there; a killed training goes on at its last checkpoint.

    One that another process trains already is waited for.
    """
    Claims().make(path, lambda: make_teacher_file(problem, seed, path))


def make_teacher_file(problem: StudyProblem, seed: int, path: Path) -> None:
    """The same for a process that has claimed the file."""
    resume_folder = path.with_suffix(".resume")
    resume_folder.mkdir(parents=True, exist_ok=True)
    run = RunSpec(seed=seed, device=problem.device)
    keep = StageKeep(resume_folder)
    keep_checkpoint(path, make_teacher(problem.detector, problem.train, problem.teacher, run, keep).student)
    shutil.rmtree(resume_folder)
