"""What may go on beside the steps of a training without being its model, its losses or its optimizer."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Companion(Protocol):
    """Follows a training step by step, on every worker alike, and is resumed with it."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All that it remembers, by name: written into checkpoints, and written over in place when one is read."""

    @property
    def rate_factor(self) -> float:
        """The next step's learning rate is the schedule's times this."""

    def on_gradients(self) -> None:
        """Those of a step are complete, and not yet clipped."""

    def after_step(self) -> None:
        """The weights have moved."""

    def metrics(self) -> dict[str, float]:
        """For a logged row; called once for each."""
