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
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(seeds) - 1)) * error
    return Paired(mean, mean - reach, mean + reach, len(seeds))
