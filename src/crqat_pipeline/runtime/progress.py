"""One look for every progress bar: rate and time left, a line now and then where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
LOG_INTERVAL_S = 15.0


class _Lines:
    """A stream for log files: each state of the bar becomes a line of its own."""

    def write(self, text: str) -> None:
        if line := text.strip():
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress(items: Iterable[Item], label: str, total: int | None = None, unit: str = "it") -> Iterator[Item]:
    """Iterate with a bar on stderr (rate, ETA); in a log file one line every 15 s."""
    interactive = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=label,
        total=total,
        unit=unit,
        file=None if interactive else _Lines(),
        dynamic_ncols=interactive,
        mininterval=0.2 if interactive else LOG_INTERVAL_S,
        leave=interactive,
    )
