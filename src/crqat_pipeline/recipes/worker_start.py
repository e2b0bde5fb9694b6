"""Workers started at a folder that holds their work, and what they refused."""

from __future__ import annotations

import uuid
from pathlib import Path

from crqat_pipeline.recipes.worker_fault import FAULT, raise_fault
from crqat_pipeline.training.workers.heartbeat import alive
from crqat_pipeline.training.workers.launch import Launch
from crqat_pipeline.training.workers.spec import WorkersSpec
from crqat_pipeline.training.workers.table import start_workers


def work_off(entry: str, folder: Path, device: str, workers: WorkersSpec, *, is_group: bool) -> None:
    """Ends when the workers have done what lies in the folder; entry, is_group: see Launch.

    Raises what a worker refused, and WorkersLostError.
    """
    token = uuid.uuid4().hex[:12]
    (folder / FAULT).unlink(missing_ok=True)
    with alive(folder, token):
        try:
            start_workers(Launch(entry, folder.resolve(), token, device, workers, is_group))
        finally:
            raise_fault(folder)
