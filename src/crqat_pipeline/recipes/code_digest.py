"""A digest of the code that a result comes from, so that a finished result is not taken for one of today's code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from crqat_pipeline.runtime.facts import content_digest

PACKAGE = Path(__file__).parents[1]

TRAINING = (
    "curriculum",
    "detection_data",
    "detectors",
    "distillation",
    "model_files",
    "quantization",
    "runtime",
    "structures",
    "text_encoders",
    "training",
    "recipes/data.py",
    "recipes/qat.py",
    "recipes/scale_history.py",
    "recipes/stage_data.py",
    "recipes/teacher.py",
)
"""Rooms and files that decide what a training stage gives; tests/conf holds them to dvc.yaml."""

DETECTING = (
    *TRAINING,
    "evaluation",
    "export",
    "inference",
    "sensitivity",
    "recipes/detecting.py",
    "recipes/form_run.py",
)
"""Those that decide which detections a form gives."""


@lru_cache
def code_digest(rooms: Sequence[str]) -> str:
    """Of all source files in these rooms of the package; a tuple."""
    files = sorted(path for room in rooms for path in _files(PACKAGE / room))
    return content_digest(*(piece for path in files for piece in (path.name, path.read_bytes())))


def _files(room: Path) -> list[Path]:
    return [room] if room.is_file() else [path for path in room.rglob("*") if path.suffix in {".py", ".c"}]
