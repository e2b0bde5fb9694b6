"""The best widths under a budget: an integer program with one choice per layer, solved exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from crqat_pipeline.allocation.layer_choices import Choice, LayerChoices
from crqat_pipeline.quantization.bit_widths import FLOAT_BITS
from crqat_pipeline.quantization.width_rules import WidthRule

MB = 2.0**20


@dataclass(frozen=True)
class Limits:
    """Upper bounds of the quantizable layers together: bytes stored, bit operations, milliseconds."""

    stored: float
    bops: float
    time: float = inf


@dataclass(frozen=True)
class Allocation:
    """One choice per layer. predicted: sum of the sensitivities."""

    layers: tuple[LayerChoices, ...]
    chosen: tuple[Choice, ...]

    @property
    def predicted(self) -> float:
        return sum(choice.sensitivity for choice in self.chosen)

    @property
    def stored(self) -> float:
        return sum(choice.stored for choice in self.chosen)

    @property
    def bops(self) -> float:
        return sum(choice.bops for choice in self.chosen)

    @property
    def time(self) -> float:
        return sum(choice.time for choice in self.chosen)

    @property
    def rules(self) -> tuple[WidthRule, ...]:
        """`quantization.widths` that say this, one rule per layer, by its full name."""
        return tuple(
            WidthRule.model_validate(
                {"layers": layer.name, "weight": _width(choice.weight), "activation": _width(choice.activation)}
            )
            for layer, choice in zip(self.layers, self.chosen, strict=True)
        )


def allocate(layers: Sequence[LayerChoices], limits: Limits) -> Allocation:
    """The choices with the smallest sum of sensitivities within all limits.

    Raises ValueError for a budget that no choice of widths keeps, with the smallest that one does.
    """
    flat = [(index, choice) for index, layer in enumerate(layers) for choice in layer.choices]
    one_each = np.zeros((len(layers), len(flat)))
    for column, (index, _) in enumerate(flat):
        one_each[index, column] = 1.0
    costs = np.array(
        [[choice.stored / limits.stored, choice.bops / limits.bops, choice.time / limits.time] for _, choice in flat]
    ).T
    objective = np.array([choice.sensitivity for _, choice in flat])
    scale = objective.max() or 1.0
    solved = milp(
        objective / scale,
        constraints=[LinearConstraint(one_each, 1.0, 1.0), LinearConstraint(costs, -np.inf, 1.0)],
        integrality=np.ones(len(flat)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-6},
    )
    if solved.x is None:
        raise ValueError(_infeasible(layers, limits, solved.message))
    chosen: list[Choice | None] = [None] * len(layers)
    for (index, choice), taken in zip(flat, solved.x, strict=True):
        if taken > 0.5:
            chosen[index] = choice
    return Allocation(tuple(layers), tuple(choice for choice in chosen if choice is not None))


def _width(bits: int) -> int | str:
    return "none" if bits == FLOAT_BITS else bits


def _infeasible(layers: Sequence[LayerChoices], limits: Limits, message: str) -> str:
    smallest = sum(min(choice.stored for choice in layer.choices) for layer in layers)
    fewest = sum(min(choice.bops for choice in layer.choices) for layer in layers)
    fastest = sum(min(choice.time for choice in layer.choices) for layer in layers)
    asked, least = (
        (f" and {limits.time:.4g} ms", f", the least time {fastest:.4g} ms") if limits.time < inf else ("", "")
    )
    return (
        f"No widths of the menu keep this budget: layers of {limits.stored / MB:.4g} MB and {limits.bops / 1e9:.4g} "
        f"GBOPs{asked}. The smallest size is {smallest / MB:.4g} MB and the fewest bit operations {fewest / 1e9:.4g} "
        f"G{least}. Raise the budget, or take a menu with narrower widths. ({message})"
    )
