"""What goes into a training stage and what comes out of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary


@dataclass(frozen=True)
class TrainingData:
    """Images with their targets, and the prompts they are asked about."""

    split: PreparedSplit
    images: ImageFolder
    vocabulary: Vocabulary
    text_bank: TextBank


@dataclass(frozen=True)
class StageResult:
    """The detector after a training stage, its summary numbers, and its loss curves."""

    student: Checkpoint
    metrics: dict[str, float]
    history: list[dict[str, float]]


def fingerprint(*facts: object) -> str:
    """A short digest of everything that a run depends on; a checkpoint of another run is told apart by it."""
    return hashlib.sha256("\n".join(map(repr, facts)).encode()).hexdigest()[:32]
