"""How many images of the real size a stage is timed on, so that a look at all stages stays short."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from time import perf_counter

import torch

WHOLE_STEP_MACS_G = 300.0
"""Without a budget, a step of at most so many 10^9 multiply-accumulates (forward) is timed on a CPU; any on a GPU."""
PART_MACS_G = 60.0
"""Within a budget, as many images of a step as take so many."""


@dataclass
class TimeBudget:
    """seconds: of all stages together; 0: short steps are timed whole, and long ones are not."""

    seconds: float = 0.0
    _started: float = field(default_factory=perf_counter)
    _longest: float = 0.0

    def images(self, device: torch.device, macs_g: float, batch_size: int, accumulation_steps: int) -> int:
        """Of one timed step; macs_g: of one image, forward. 0 where there is no time for it."""
        limit_g = PART_MACS_G if self.seconds else WHOLE_STEP_MACS_G
        if device.type == "cuda" or macs_g * batch_size * accumulation_steps <= limit_g:
            return batch_size
        if perf_counter() - self._started + self._longest > self.seconds:
            return 0
        return max(1, min(batch_size, math.floor(PART_MACS_G / macs_g)))

    def spent(self, seconds: float) -> None:
        """A stage took so long; the next one is started only where as much is left."""
        self._longest = max(self._longest, seconds)
