"""Cells of a study as a folder of files that workers read: on any machine that has the same file system."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.data_files import read_data, write_data
from crqat_pipeline.recipes.evaluation_run import Truth
from crqat_pipeline.recipes.specs import EvaluationSpec, NamedBuilderSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.study.cell import Cell, CellPlace
from crqat_pipeline.study.kept import write_json
from crqat_pipeline.study.problem import ScoredData, StudyProblem
from crqat_pipeline.study.spec import StudySpec

JOB = "job.json"
SPECS: Mapping[str, type[BaseModel]] = {
    "detector": NamedBuilderSpec,
    "teacher": TeacherSpec,
    "quantization": QuantSpec,
    "evaluation": EvaluationSpec,
}
DATA = ("train", "qat", "tuning_qat", "calibration")
SCORED = ("tuning", "final")


@dataclass(frozen=True)
class StudyJob:
    """Every cell with where its files lie."""

    study: StudySpec
    problem: StudyProblem
    places: Mapping[Cell, CellPlace]


def write_study_job(folder: Path, job: StudyJob) -> None:
    """job.json is written last: a folder that has one is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JOB).unlink(missing_ok=True)
    problem, written = job.problem, dict[int, dict[str, Any]]()
    data = {name: getattr(problem, name) for name in DATA} | {name: getattr(problem, name).data for name in SCORED}
    for name, one in data.items():
        if id(one) not in written:  # tuning may train on the QAT data themselves
            written[id(one)] = {"folder": name, "facts": write_data(folder / name, one)}
    for name in SCORED:
        write_json(folder / f"{name}.json", {key: asdict(one) for key, one in getattr(problem, name).truths.items()})
    content = {
        "study": job.study.model_dump(mode="json"),
        "device": problem.device,
        "specs": {name: getattr(problem, name).model_dump(mode="json") for name in SPECS},
        "data": {name: written[id(one)] for name, one in data.items()},
        "cells": [[asdict(cell), _place_as_text(place)] for cell, place in job.places.items()],
    }
    write_json(folder / JOB, content)


def read_study_job(folder: Path) -> StudyJob:
    """What write_study_job wrote; data that were one object are one again."""
    content: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    read: dict[str, TrainingData] = {}
    for one in content["data"].values():
        if one["folder"] not in read:
            read[one["folder"]] = read_data(folder / one["folder"], one["facts"])
    data = {name: read[one["folder"]] for name, one in content["data"].items()}
    parts: dict[str, Any] = {
        **{name: spec.model_validate(content["specs"][name]) for name, spec in SPECS.items()},
        **{name: data[name] for name in DATA},
        **{name: ScoredData(data[name], _truths(folder / f"{name}.json")) for name in SCORED},
    }
    problem = StudyProblem(device=content["device"], **parts)
    places = {Cell(**cell): _place_of_text(place) for cell, place in content["cells"]}
    return StudyJob(StudySpec.model_validate(content["study"]), problem, places)


def _place_as_text(place: CellPlace) -> dict[str, str]:
    return {key: one if isinstance(one, str) else str(one.resolve()) for key, one in asdict(place).items()}


def _place_of_text(place: Mapping[str, str]) -> CellPlace:
    paths = {key: Path(text) for key, text in place.items() if key != "base_key"}
    return CellPlace(**paths, base_key=place["base_key"])


def _truths(path: Path) -> dict[str, Truth]:
    def splits(of: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        return {name: tuple(ids) for name, ids in of.items()}

    truths = json.loads(path.read_text(encoding="utf-8"))
    return {name: Truth(one["annotations"], splits(one["category_splits"])) for name, one in truths.items()}
