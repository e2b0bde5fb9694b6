"""One cell of a study: a method with a seed and a learning rate, trained, measured, written down.

Every stage's student is kept under a key of everything it depends on, so cells that begin alike share their beginning
and a killed study goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crqat_pipeline.detectors.table import family_of
from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.image_bootstrap import bootstrap_ap
from crqat_pipeline.model_files import read_checkpoint, rebuild
from crqat_pipeline.recipes.aligning import align_students
from crqat_pipeline.recipes.detecting import detect_split
from crqat_pipeline.recipes.finished_stage import StageKeep
from crqat_pipeline.recipes.qat import post_training_quantization, run_stage
from crqat_pipeline.recipes.specs import PtqSpec, QatStageSpec, RunSpec
from crqat_pipeline.recipes.stage_data import digest
from crqat_pipeline.runtime.claims import Claims
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.study.cell_data import calibrated_on, trained_on
from crqat_pipeline.study.kept import keep_checkpoint, write_json
from crqat_pipeline.study.problem import Phase, ScoredData, StudyProblem, key_of
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.study.stages import bits_of, stage_specs
from crqat_pipeline.training.non_finite import NonFiniteLossError

Row = dict[str, Any]

IMAGE_DRAWS = "AP_image_draws"
"""Of a row: AP on images drawn with replacement, the same draws in every row; numbers with spaces between."""


@dataclass(frozen=True)
class Cell:
    """learning_rate is 0 for a method that does not train."""

    method: str
    phase: Phase
    seed: int
    learning_rate: float

    @property
    def label(self) -> str:
        return f"{self.method}-{self.phase}-lr{self.learning_rate:g}-seed{self.seed}"


@dataclass(frozen=True)
class CellPlace:
    """Where a cell's files lie: its row, its students, the teacher of its seed."""

    row: Path
    students: Path
    teacher: Path
    base_key: str


def _stages(cell: Cell, study: StudySpec, problem: StudyProblem) -> list[QatStageSpec]:
    parts = family_of(problem.detector.name).parts
    return stage_specs(study.methods[cell.method], study, cell.learning_rate, parts)


def student_keys(cell: Cell, study: StudySpec, problem: StudyProblem, base_key: str) -> list[str]:
    """One key per stage; each contains those before it. base_key: teacher and data."""
    method = study.methods[cell.method]
    key = key_of(base_key, bits_of(method, problem.quantization), method.is_quantized)
    if not method.is_trained:
        return [key]
    keys = []
    for spec in _stages(cell, study, problem):
        key = key_of(key, spec, cell.seed)
        keys.append(key)
    return keys


def read_row(path: Path) -> Row:
    """A row that run_cell wrote."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def run_cell(
    cell: Cell, study: StudySpec, problem: StudyProblem, place: CellPlace, claims: Claims | None = None
) -> Row:
    """The row of figures; read if it is there. A training that diverges gives a row with `failed` and no figures.

    `teacher` identifies the teacher's weights: the same parameters give other weights on another machine, and only
    methods that had the same teacher are paired. claims: cells that begin alike share students, and each of these is
    trained by one process; the others wait for it.
    """
    if place.row.is_file():
        return read_row(place.row)
    teacher = read_checkpoint(place.teacher)
    row: Row = {
        "method": cell.method,
        "phase": cell.phase,
        "seed": cell.seed,
        "learning_rate": cell.learning_rate,
        "teacher": f"sha256:{digest(teacher.tensors)[:16]}",
        "failed": "",
    }
    try:
        student, seconds = _student(cell, study, problem, place, teacher, claims or Claims())
    except NonFiniteLossError as error:
        row["failed"] = str(error)
    else:
        scored = problem.tuning if cell.phase == "tuning" else problem.final
        draws = study.image_draws if cell.phase == "final" else 0
        row |= {"seconds": seconds, **_accuracy(student, scored, problem, place, draws)}
        if cell.phase == "final":
            row |= _distances(student, teacher, scored, problem)
    write_json(place.row, row)
    return row


def _student(
    cell: Cell, study: StudySpec, problem: StudyProblem, place: CellPlace, teacher: Checkpoint, claims: Claims
) -> tuple[Checkpoint, float]:
    """The trained student, and the seconds that its stages took when they ran."""
    method, run = study.methods[cell.method], RunSpec(seed=cell.seed, device=problem.device)
    quantization = bits_of(method, problem.quantization)
    keys = student_keys(cell, study, problem, place.base_key)
    data, calibration = trained_on(cell.phase, problem), calibrated_on(cell.phase, cell.seed, study, problem)
    if method.is_teacher:
        return teacher, 0.0
    if method.ptq_rule is not None:
        ptq = PtqSpec(image_size_px=problem.evaluation.image_size_px)
        return post_training_quantization(teacher, calibration, quantization, run, ptq), 0.0
    student, seconds = teacher, 0.0
    for spec, key in zip(_stages(cell, study, problem), keys, strict=True):
        path = place.students / f"{key}.safetensors"

        def train(path: Path = path, spec: QatStageSpec = spec, student: Checkpoint = student) -> None:
            resume_folder = path.with_suffix(".resume")
            resume_folder.mkdir(parents=True, exist_ok=True)
            result = run_stage(student, teacher, data, calibration, quantization, spec, run, StageKeep(resume_folder))
            facts = {**result.student.metadata, "seconds": result.metrics["seconds"]}
            keep_checkpoint(path, Checkpoint(result.student.tensors, facts))
            shutil.rmtree(resume_folder)

        claims.make(path, train)
        student = read_checkpoint(path)
        seconds += student.metadata["seconds"]
    return student, seconds


def _accuracy(
    student: Checkpoint, scored: ScoredData, problem: StudyProblem, place: CellPlace, image_draws: int
) -> Row:
    """AP by every protocol of the data, in [0, 1], and COCO AP of images drawn with replacement."""
    spec, resume_folder = problem.evaluation, place.row.with_suffix(".detections")
    detector = rebuild(student).detector
    table = detect_split(detector, scored.data, spec, problem.device, "detections", resume_folder)
    figures: Row = {}
    for protocol, truth in scored.truths.items():
        result = evaluate(truth.annotations, table, protocol, spec.backend, truth.category_splits)
        prefix = "" if protocol == "coco" else f"{protocol}_"
        figures |= {f"{prefix}{name}": value for name, value in result.metrics.items() if value > -1}
    if image_draws:
        draws_S = bootstrap_ap(scored.truths["coco"].annotations, table, image_draws)
        figures[IMAGE_DRAWS] = " ".join(f"{value:.5f}" for value in draws_S)
    shutil.rmtree(resume_folder, ignore_errors=True)
    return figures


def _distances(student: Checkpoint, teacher: Checkpoint, scored: ScoredData, problem: StudyProblem) -> Row:
    """How far the student's text–region space is from the teacher's."""
    students = {"student": rebuild(student).detector}
    detector = rebuild(teacher).detector
    near = align_students(detector, students, scored.data, problem.evaluation, problem.device)["student"]
    names = ("region_text_mae", "region_region_mae", "region_region_r", "confidence_student")
    return {name: getattr(near, name) for name in names}
