"""A sign of life that a run leaves for its workers: a number that grows, in a file that all of them read.

A killed run cannot end its workers. They would go on training beside the run that takes its place; so each of them
looks whether the run that started it still is the one that lives here. Clocks of machines are not compared.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from crqat_pipeline.runtime.atomic import atomic_path

FILE_NAME = "alive"
EVERY_S = 1.0


@contextmanager
def alive(folder: Path, token: str) -> Iterator[None]:
    """Within the block the folder says, every second, that the run with this token lives."""
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(EVERY_S if count else 0.0):
            count += 1
            try:
                with atomic_path(folder / FILE_NAME) as temporary:
                    temporary.write_text(f"{token} {count}", encoding="utf-8")
            except OSError:
                continue  # a disk that is full for a moment: silence is judged by the workers

    thread = threading.Thread(target=beat, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        (folder / FILE_NAME).unlink(missing_ok=True)


class Watch:
    """Says whether the run that a worker belongs to is over."""

    def __init__(self, folder: Path, token: str, silence_s: float, now: Callable[[], float] = monotonic) -> None:
        self._file, self._token, self._silence_s, self._now = folder / FILE_NAME, token, silence_s, now
        self._last, self._since = "", now()

    def is_over(self) -> bool:
        """True once another run lives in the folder, or this one has said nothing new for `silence_s` seconds."""
        try:
            said = self._file.read_text(encoding="utf-8")
        except OSError:
            said = self._last
        if said and said.split(" ")[0] != self._token:
            return True
        if said != self._last:
            self._last, self._since = said, self._now()
        return self._now() - self._since > self._silence_s


@contextmanager
def watching(watch: Watch, end: Callable[[], None]) -> Iterator[None]:
    """Within the block a thread looks every second, and calls `end` when the run is over."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(EVERY_S):
            if watch.is_over():
                end()
                return

    thread = threading.Thread(target=look, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
