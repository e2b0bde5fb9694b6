"""One look for every progress bar: rate and time left, silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], label: str, total: int | None = None, unit: str = "it") -> Iterator[Item]:
    """Iterate with a bar on stderr (rate, ETA); on a log file one line every 15 s."""
    interactive = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=label,
        total=total,
        unit=unit,
        dynamic_ncols=interactive,
        mininterval=0.2 if interactive else 15.0,
        leave=interactive,
    )
