"""The node that ends a training stage."""

from __future__ import annotations

from pathlib import Path

from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.training.loop import finish


def clear_resume(trained: Checkpoint, resume_folder: Path) -> None:
    """The result is on disk (it was just read back): its resumable checkpoints are no longer needed."""
    finish(resume_folder)
