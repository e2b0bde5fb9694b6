"""What a launcher of workers is given, and the error of one that could not keep them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from crqat_pipeline.training.workers.spec import WorkersSpec


@dataclass(frozen=True)
class Launch:
    """entry: module:function, called with `folder` on every worker.

    folder: where all machines find the work. token: names the run that starts it. device: as in the run's parameters.
    is_group: the workers do one thing together, within torch's default process group; otherwise each works by itself on
    pieces that it claims (runtime.claims).
    """

    entry: str
    folder: Path
    token: str
    device: str
    workers: WorkersSpec
    is_group: bool = True

    def call_entry(self) -> None:
        """In a worker; its process group is there, if it has one."""
        module, _, function = self.entry.partition(":")
        getattr(importlib.import_module(module), function)(self.folder)


class WorkersLostError(RuntimeError):
    """Workers ended before the work was done, more often than they are replaced; the message says what to do."""
