"""What a worker does with the folder of a training stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detection_data.training_loader import BatchPart
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.finished_stage import StageKeep, write_result
from crqat_pipeline.recipes.on_workers import LINES, RESULT
from crqat_pipeline.recipes.qat import train_stage
from crqat_pipeline.recipes.specs import NamedBuilderSpec, QatStageSpec, RunSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import StageResult
from crqat_pipeline.recipes.stage_job import StageJob, read_job
from crqat_pipeline.recipes.teacher import train_detector
from crqat_pipeline.recipes.worker_fault import has_fault, told_fault
from crqat_pipeline.recipes.worker_lines import LineTracker
from crqat_pipeline.runtime.ranks import is_first, num_ranks, rank, together
from crqat_pipeline.training.tracker import Tracker


def carry_out(folder: Path) -> None:
    """Train as one of several workers; the first writes the result.

    An error that would come again is written down and ends this worker; workers that are started again for it end at
    once.
    """
    if has_fault(folder):
        return
    job = read_job(folder)
    with told_fault(folder):
        rows = BatchPart(rank(), num_ranks()).rows(_batch_size(job))
        with together(_batch_size(job) / len(rows)):
            result = KINDS[job.kind](job, LineTracker(folder / LINES))
            if is_first():
                write_result(folder / RESULT, job.facts, result)


def _batch_size(job: StageJob) -> int:
    spec: Any = job.specs["spec"]
    return int(spec["loader"]["batch_size"])


def _qat(job: StageJob, tracker: Tracker) -> StageResult:
    return train_stage(
        job.models["student"],
        job.models["teacher"],
        job.data["data"],
        job.data["calibration"],
        QuantSpec.model_validate(job.specs["quantization"]),
        QatStageSpec.model_validate(job.specs["spec"]),
        RunSpec.model_validate(job.specs["run"]),
        job.facts,
        StageKeep(job.checkpoints),
        tracker,
    )


def _teacher(job: StageJob, tracker: Tracker) -> StageResult:
    return train_detector(
        NamedBuilderSpec.model_validate(job.specs["row"]),
        job.data["data"],
        TeacherSpec.model_validate(job.specs["spec"]),
        RunSpec.model_validate(job.specs["run"]),
        job.facts,
        StageKeep(job.checkpoints),
        tracker,
    )


KINDS: Mapping[str, Callable[[StageJob, Tracker], StageResult]] = MappingProxyType({"qat": _qat, "teacher": _teacher})
"""Kind of a job -> what carries it out."""
