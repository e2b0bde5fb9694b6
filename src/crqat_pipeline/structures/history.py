"""The columns of a training history: the losses by name, and what is kept beside them."""

from __future__ import annotations

from collections.abc import Iterable

STEP, LEARNING_RATE = "step", "learning_rate"
SCALE_RANGE = tuple(f"{kind}_scale_{end}" for kind in ("weight", "activation") for end in ("min", "max"))
"""Smallest and largest step of the quantizers."""


def loss_columns(columns: Iterable[str]) -> list[str]:
    """The losses among them: `loss`, which is their sum, and every term that the run had."""
    return [name for name in columns if name not in (STEP, LEARNING_RATE, *SCALE_RANGE)]
