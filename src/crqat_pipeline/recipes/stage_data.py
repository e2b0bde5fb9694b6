"""What goes into a training stage and what comes out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

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
    """The detector after a training stage, its summary numbers, its loss curves, its quantizers' steps over time."""

    student: Checkpoint
    metrics: dict[str, float]
    history: list[dict[str, float]]
    scales: list[dict[str, float | str]] = field(default_factory=list)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names and bytes of a state dict."""
    whole = hashlib.sha256()
    for name, value in tensors.items():
        whole.update(name.encode())
        whole.update(value.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()
