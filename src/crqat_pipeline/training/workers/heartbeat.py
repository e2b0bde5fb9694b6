"""A sign of life that a run leaves for its workers: a number that grows, in a file that all of them read.

A killed run cannot end its workers. They would go on training beside the run that takes its place; so each of them
looks whether the run that started it still is the one that lives here. Clocks of machines are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic

from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.repeating import repeating

FILE_NAME = "alive"
EVERY_S = 1.0


@contextmanager
def alive(folder: Path, token: str) -> Iterator[None]:
    """Within the block the folder says, every second, that the run with this token lives."""
    counts = count(1)

    def beat() -> None:
        with suppress(OSError), atomic_path(folder / FILE_NAME) as temporary:  # a full disk: the workers judge silence
            temporary.write_text(f"{token} {next(counts)}", encoding="utf-8")

    try:
        with repeating(beat, EVERY_S, "sign of life"):
            yield
    finally:
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

    def look() -> bool:
        is_over = watch.is_over()
        if is_over:
            end()
        return is_over

    with repeating(look, EVERY_S, "watch"):
        yield
