"""What is done about weight codes that change while a student trains."""

from __future__ import annotations

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TransitionSpec(BaseModel):
    """Transitions of weight codes are counted; options damp them, freeze what oscillates, or schedule their share.

    Oscillations: Nagel et al., ICML 2022. Shares that follow a schedule: Lee et al. 2024 (arXiv 2404.19248).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    momentum: float = Field(
        default=0.01, gt=0, le=1, description="Of the running frequency of oscillations, per step; 0.01 in its paper"
    )
    max_bits: int = Field(default=4, ge=2, le=8, description="Weights of more bits are left alone")
    damping: float = Field(
        default=0.0,
        ge=0,
        description="λ of Σ (w^ - w)² within the grid, grows from 0 along half a cosine; 0.1 in its paper, 0: off",
    )
    freeze_above: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="A code that oscillates more often per step than this at the end is fixed for good; 0.01 in its "
        "paper. At least twice the momentum lets single flips pass",
    )
    freeze_from: float = Field(
        default=0.1, gt=0, lt=1, description="The same bound at the first step; it falls along half a cosine"
    )
    target_share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of codes that should change in the first step; the rate is adapted so that the share falls "
        "from it to 0 along half a cosine. Absent: the rate is the schedule's own",
    )

    @model_validator(mode="after")
    def _bound_falls(self) -> Self:
        if self.freeze_above is not None and self.freeze_above > self.freeze_from:
            raise ValueError(
                f"the bound of freezing falls from freeze_from to freeze_above; got {self.freeze_from} and "
                f"{self.freeze_above}. Lower freeze_above"
            )
        return self

    def damping_at(self, progress: float) -> float:
        """λ at a progress of 0 to 1."""
        return self.damping * (1 - _remaining(progress))

    def freeze_above_at(self, progress: float) -> float | None:
        """Bound of the frequency at a progress of 0 to 1; None where nothing freezes."""
        if self.freeze_above is None:
            return None
        return self.freeze_above + (self.freeze_from - self.freeze_above) * _remaining(progress)

    def target_share_at(self, progress: float) -> float | None:
        """Share of codes that should change in a step; None where the rate is not adapted."""
        return None if self.target_share is None else self.target_share * _remaining(progress)


def _remaining(progress: float) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
