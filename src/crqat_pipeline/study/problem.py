"""What every cell of a study has in common, in a form that worker processes receive once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.evaluation_run import Truth
from crqat_pipeline.recipes.specs import EvaluationSpec, NamedBuilderSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import TrainingData

Phase = Literal["tuning", "final"]


@dataclass(frozen=True)
class ScoredData:
    """Images with their prompts, and the annotations that score them: protocol (coco, lvis) -> truth."""

    data: TrainingData
    truths: dict[str, Truth]


@dataclass(frozen=True)
class StudyProblem:
    """The detector and its data.

    tuning: images that choose learning rates; final: images of the reported figures. tuning_qat: what cells that choose
    rates train on; `qat` itself where the tuning images are no part of it.
    """

    detector: NamedBuilderSpec
    teacher: TeacherSpec
    quantization: QuantSpec
    evaluation: EvaluationSpec
    device: str
    train: TrainingData
    qat: TrainingData
    tuning_qat: TrainingData
    calibration: TrainingData
    tuning: ScoredData
    final: ScoredData


def key_of(*facts: Any) -> str:
    """A short digest of specs and values. Options that are left at their default do not enter it, so that an option
    which is added later leaves finished work valid."""
    plain = [one.model_dump(mode="json", exclude_defaults=True) if isinstance(one, BaseModel) else one for one in facts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def split_key(data: TrainingData) -> str:
    """Which images, boxes and prompts: a digest."""
    return key_of(data.split, list(data.text_bank.prompts), data.text_bank.encoder)
