"""Detections of an evaluation as a folder of files that workers read: on any machine that has the same file system."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crqat_pipeline.model_files import write_checkpoint
from crqat_pipeline.recipes.data_files import read_data, write_data
from crqat_pipeline.recipes.forms import Source
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.checkpoint import Checkpoint

JOB = "job.json"


@dataclass(frozen=True)
class Piece:
    """Images of a benchmark in which a form is to detect, and the shard that is to hold what it finds."""

    form: str
    benchmark: str
    shard: Path
    image_ids: tuple[int, ...]


@dataclass(frozen=True)
class DetectionJob:
    """Forms and benchmarks by name, and all pieces."""

    sources: Mapping[str, Source]
    benchmarks: Mapping[str, TrainingData]
    spec: EvaluationSpec
    run: RunSpec
    pieces: Sequence[Piece]


def write_detection_job(folder: Path, job: DetectionJob) -> None:
    """job.json is written last: a folder that has one is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JOB).unlink(missing_ok=True)
    content = {
        "sources": {form: str(_as_file(folder, form, source).resolve()) for form, source in job.sources.items()},
        "benchmarks": {name: write_data(folder / name, data) for name, data in job.benchmarks.items()},
        "spec": job.spec.model_dump(mode="json"),
        "run": job.run.model_dump(mode="json"),
        "pieces": [[one.form, one.benchmark, str(one.shard.resolve()), one.image_ids] for one in job.pieces],
    }
    with atomic_path(folder / JOB) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def read_detection_job(folder: Path) -> DetectionJob:
    """What write_detection_job wrote; every form is a file."""
    content: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    return DetectionJob(
        sources={form: Path(path) for form, path in content["sources"].items()},
        benchmarks={name: read_data(folder / name, facts) for name, facts in content["benchmarks"].items()},
        spec=EvaluationSpec.model_validate(content["spec"]),
        run=RunSpec.model_validate(content["run"]),
        pieces=[Piece(form, name, Path(shard), tuple(ids)) for form, name, shard, ids in content["pieces"]],
    )


def _as_file(folder: Path, form: str, source: Source) -> Path:
    if not isinstance(source, Checkpoint):
        return source
    path = folder / f"{form}.checkpoint.safetensors"
    write_checkpoint(path, source)
    return path
