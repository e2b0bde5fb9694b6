"""What loading a weight file did, or why it was refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


class WeightsRefused(ValueError):  # noqa: N818 - reads as what happened
    """A weight file that is unsafe, damaged, or does not fit the detector; the detector is unchanged."""


@dataclass(frozen=True)
class LoadReport:
    """source: the file. what: its format, version and size in words. loaded: keys of the detector that were set.

    skipped: (key of the file, reason). reshaped: (key of the detector, shape in the file, shape here).
    """

    source: str
    what: str
    loaded: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.what}", f"  loaded    {len(self.loaded)} tensors"]
        for reason, count in sorted(Counter(reason for _, reason in self.skipped).items()):
            lines.append(f"  skipped   {count} ({reason})")
        for key, there, here in self.reshaped:
            lines.append(f"  reshaped  {key}: {list(there)} -> {list(here)}")
        return "\n".join(lines)
