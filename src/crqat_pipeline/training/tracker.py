"""Where a run reports to while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Tracker(Protocol):
    """Receives live metrics; must never raise."""

    def metrics(self, values: Mapping[str, float], step: int) -> None: ...


class NullTracker:
    """Reports to nobody."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        return None
