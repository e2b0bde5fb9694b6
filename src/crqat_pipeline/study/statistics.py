"""Means, spreads and paired differences over seeds.

Shape letters: S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Paired:
    """Difference to a reference over the seeds that both have: mean and its 95 % interval (Student's t)."""

    mean: float
    low: float
    high: float
    num_seeds: int

    @property
    def is_clear(self) -> bool:
        """The interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    @property
    def p_value(self) -> float:
        """Of the two-sided paired t-test that the interval belongs to."""
        error = (self.high - self.low) / 2 / _quantile(self.num_seeds)
        if error == 0:
            return 0.0 if self.mean else 1.0
        return 2 * float(stats.t.sf(abs(self.mean) / error, self.num_seeds - 1))


def mean_and_deviation(values_S: Sequence[float]) -> tuple[float, float]:
    """Sample mean and standard deviation (NaN for fewer than two values)."""
    if not values_S:
        return math.nan, math.nan
    return float(np.mean(values_S)), float(np.std(values_S, ddof=1)) if len(values_S) > 1 else math.nan


def paired_difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Paired:
    """Of two methods, seed -> figure. Raises ValueError for fewer than two common seeds."""
    seeds = sorted(values.keys() & reference.keys())
    if len(seeds) < 2:
        raise ValueError(
            f"A paired interval needs at least two seeds that both methods have; got {len(seeds)}. Run more seeds."
        )
    differences_S = np.array([values[seed] - reference[seed] for seed in seeds])
    mean = float(differences_S.mean())
    error = float(differences_S.std(ddof=1)) / math.sqrt(len(seeds))
    reach = _quantile(len(seeds)) * error
    return Paired(mean, mean - reach, mean + reach, len(seeds))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted for all comparisons of the mapping together (Holm 1979, step down).

    Among those with an adjusted value up to 0.05 there is a wrong one in at most one page of twenty, however the
    comparisons depend on each other.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _quantile(num_seeds: int) -> float:
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, num_seeds - 1))
