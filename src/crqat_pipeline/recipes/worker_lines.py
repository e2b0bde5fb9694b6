"""What a worker tells its run while it trains: lines in a file, whatever started it and wherever it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from crqat_pipeline.runtime.repeating import repeating
from crqat_pipeline.training.tracker import Tracker

EVERY_S = 0.2


class LineTracker:
    """Of the first worker: adds a line for each logged step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "values": dict(values)}) + "\n")


class _Reader:
    """Hands on whole lines, each step once: replaced workers repeat the steps since their checkpoint."""

    def __init__(self, path: Path, tracker: Tracker) -> None:
        self._path, self._tracker = path, tracker
        self._position, self._last_step = 0, 0

    def read(self) -> None:
        try:
            with self._path.open(encoding="utf-8") as file:
                file.seek(self._position)
                text = file.read()
        except OSError:
            return
        whole = text.rfind("\n") + 1
        self._position += len(text[:whole].encode())
        for line in text[:whole].splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                continue  # a worker was killed while it wrote
            if told["step"] > self._last_step:
                self._last_step = told["step"]
                self._tracker.metrics(told["values"], told["step"])


@contextmanager
def following(path: Path, tracker: Tracker) -> Iterator[None]:
    """Within the block, what a LineTracker writes reaches `tracker` at once; all of it by the end."""
    reader = _Reader(path, tracker)
    try:
        with repeating(reader.read, EVERY_S, "lines of workers"):
            yield
    finally:
        reader.read()
