"""Errors of workers that would come again: written down by the worker, raised by the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.training.non_finite import NonFiniteLossError

FAULT = "fault.json"
SPOKEN = {error.__name__: error for error in (NonFiniteLossError, ValueError)}
"""All others (a killed process, a network that is away) may be over when a worker is started again."""


@contextmanager
def told_fault(folder: Path) -> Iterator[None]:
    """Of a worker: an error of these kinds is written into the folder before it ends the worker."""
    try:
        yield
    except tuple(SPOKEN.values()) as error:
        kind = next(name for name, each in SPOKEN.items() if isinstance(error, each))
        text = "\n".join([str(error), *getattr(error, "__notes__", ())])
        with atomic_path(folder / FAULT) as temporary:
            temporary.write_text(json.dumps({"kind": kind, "text": text}), encoding="utf-8")
        raise


def has_fault(folder: Path) -> bool:
    return (folder / FAULT).is_file()


def raise_fault(folder: Path) -> None:
    """Of the run: raises what a worker wrote down."""
    if has_fault(folder):
        fault = json.loads((folder / FAULT).read_text(encoding="utf-8"))
        raise SPOKEN[fault["kind"]](fault["text"])
