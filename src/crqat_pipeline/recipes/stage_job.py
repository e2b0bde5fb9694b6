"""A training stage as a folder of files that its workers read: on any machine that has the same file system."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from crqat_pipeline.model_files import read_checkpoint, write_checkpoint
from crqat_pipeline.recipes.data_files import read_data, write_data
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.facts import Facts
from crqat_pipeline.structures.checkpoint import Checkpoint

JOB, CHECKPOINTS = "job.json", "*.checkpoint.safetensors"


@dataclass(frozen=True)
class StageJob:
    """kind: which function carries it out (recipes.worker.KINDS). specs, models, data: its arguments by name.

    checkpoints: the folder from which the training goes on. facts: of the stage.
    """

    kind: str
    specs: Mapping[str, BaseModel | dict[str, Any]]
    data: Mapping[str, TrainingData]
    checkpoints: Path
    facts: Facts
    models: Mapping[str, Checkpoint] = field(default_factory=dict)


def write_job(folder: Path, job: StageJob) -> None:
    """job.json is written last: a folder that has one is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JOB).unlink(missing_ok=True)
    files: dict[int, str] = {}
    for name, model in job.models.items():
        if id(model) not in files:  # stage 1 starts from the teacher itself
            files[id(model)] = f"{name}.checkpoint.safetensors"
            write_checkpoint(folder / files[id(model)], model)
    content = {
        "kind": job.kind,
        "specs": {name: _plain(spec) for name, spec in job.specs.items()},
        "models": {name: files[id(model)] for name, model in job.models.items()},
        "data": {name: write_data(folder / name, one) for name, one in job.data.items()},
        "checkpoints": str(job.checkpoints.resolve()),
        "facts": dict(job.facts),
    }
    with atomic_path(folder / JOB) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_job(folder: Path) -> StageJob:
    """What write_job wrote; specs are plain values."""
    content = json.loads((folder / JOB).read_text(encoding="utf-8"))
    models = {file: read_checkpoint(folder / file) for file in set(content["models"].values())}
    return StageJob(
        kind=content["kind"],
        specs=content["specs"],
        data={name: read_data(folder / name, facts) for name, facts in content["data"].items()},
        checkpoints=Path(content["checkpoints"]),
        facts=content["facts"],
        models={name: models[file] for name, file in content["models"].items()},
    )


def _plain(spec: BaseModel | dict[str, Any]) -> Any:
    return spec.model_dump(mode="json") if isinstance(spec, BaseModel) else spec
