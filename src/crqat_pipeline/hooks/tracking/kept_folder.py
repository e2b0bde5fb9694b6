"""Where a project keeps what outlives a run: MLflow's store, and what could not be sent to it."""

from __future__ import annotations

from pathlib import Path

COPIES = (".dvc", "tmp", "exps")
"""DVC runs a queued experiment in a copy of the project below this folder of it, and then deletes the copy."""


def kept_folder(project: Path) -> Path:
    """The project's folder; for DVC's copy of a project the project that was copied."""
    parts = project.parts
    for start in range(len(parts) - len(COPIES)):
        if parts[start : start + len(COPIES)] == COPIES:
            return Path(*parts[:start])
    return project
