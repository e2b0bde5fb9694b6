"""The text side and the images of a run, bundled as the stages pass them on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary


@dataclass(frozen=True)
class TrainingData:
    """Images with their targets, and the prompts they are asked about."""

    split: PreparedSplit
    images: ImageFolder
    vocabulary: Vocabulary
    text_bank: TextBank


def fingerprint(*facts: object) -> str:
    """A short digest of everything that a run depends on; a checkpoint of another run is told apart by it."""
    return hashlib.sha256("\n".join(map(repr, facts)).encode()).hexdigest()[:32]
