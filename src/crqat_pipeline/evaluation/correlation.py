"""Pearson's r and Spearman's rho of two equally long series, NaN where a series does not vary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def pearson(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Linear correlation in [-1, 1]."""
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"Correlation needs two series of equal length; got shapes {x.shape} and {y.shape}.")
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, group, sizes = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[group], np.float64)


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Rank correlation in [-1, 1]."""
    return pearson(ranks(first), ranks(second))
