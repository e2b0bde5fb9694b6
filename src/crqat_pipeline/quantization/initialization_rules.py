"""First steps and zero points, from what an observer saw.

INITIALIZATIONS maps a name to a function (observer, grid, percentile) -> (scale_G, zero_point_G), float64 on the CPU.

Shape letters: G steps of a tensor, K bins of a histogram.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from crqat_pipeline.quantization.affine import SMALLEST_SCALE, choose_qparams
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.observers import Histogram, Observer

NEEDS_HISTOGRAM = ("percentile", "mse")
_COARSE, _REFINED, _ROUNDS = 24, 9, 3


def from_range(observer: Observer, grid: IntegerGrid, percentile: float) -> tuple[Tensor, Tensor]:
    """Min-max: the grid covers everything that was seen."""
    return choose_qparams(observer.min_G, observer.max_G, grid)


def from_percentile(observer: Observer, grid: IntegerGrid, percentile: float) -> tuple[Tensor, Tensor]:
    """The grid covers the values between the (100 - p)th and the pth percentile."""
    fraction = percentile / 100.0
    low = [histogram.quantile(1.0 - fraction) for histogram in observer.histograms]
    high = [histogram.quantile(fraction) for histogram in observer.histograms]
    return choose_qparams(torch.tensor(low).double(), torch.tensor(high).double(), grid)


def from_mean_abs(observer: Observer, grid: IntegerGrid, percentile: float) -> tuple[Tensor, Tensor]:
    """LSQ's formula, scale = 2 mean|x| / sqrt(quant_max); an asymmetric grid starts at the minimum."""
    mean_G = observer.mean_abs
    scale_G = torch.where(mean_G == 0, torch.ones_like(mean_G), 2.0 * mean_G / sqrt(grid.quant_max))
    scale_G = scale_G.clamp(min=SMALLEST_SCALE)
    if grid.is_symmetric:
        return scale_G, torch.zeros_like(scale_G)
    zero_point_G = (grid.quant_min - observer.min_G.clamp(max=0.0) / scale_G).round()
    return scale_G, zero_point_G.clamp(grid.quant_min, grid.quant_max)


def from_three_sigma(observer: Observer, grid: IntegerGrid, percentile: float) -> tuple[Tensor, Tensor]:
    """LSQ+'s formula for weights: the grid covers mean plus or minus three standard deviations."""
    low_G, high_G = observer.mean - 3 * observer.std, observer.mean + 3 * observer.std
    return choose_qparams(low_G, high_G, grid)


def from_squared_error(observer: Observer, grid: IntegerGrid, percentile: float) -> tuple[Tensor, Tensor]:
    """OMSE: the clipping range that minimises the squared error, searched on the histogram of each group."""
    pairs = [_search(histogram, grid) for histogram in observer.histograms]
    return torch.stack([scale for scale, _ in pairs]), torch.stack([zero for _, zero in pairs])


Initialization = Callable[[Observer, IntegerGrid, float], tuple[Tensor, Tensor]]

INITIALIZATIONS: dict[str, Initialization] = {
    "lsq": from_mean_abs,
    "lsq_plus": from_three_sigma,
    "minmax": from_range,
    "percentile": from_percentile,
    "mse": from_squared_error,
}


def _search(histogram: Histogram, grid: IntegerGrid) -> tuple[Tensor, Tensor]:
    """Best scale and zero point (scalars) over clipping ranges: a coarse grid, then finer ones around the best."""
    seen_K = histogram.counts_K > 0
    centers_K, counts_K = histogram.centers[seen_K], histogram.counts_K[seen_K]
    low, high = centers_K[0].clamp(max=0.0), centers_K[-1].clamp(min=0.0)
    if grid.is_symmetric:
        high = torch.maximum(low.abs(), high)
        low = -high
    step = 1.0 / _COARSE
    low_fractions = high_fractions = torch.linspace(step, 1.0, _COARSE, dtype=torch.float64)
    for _ in range(_ROUNDS):
        if grid.is_symmetric:
            low_C, high_C = low * high_fractions, high * high_fractions
        else:
            low_C = (low * low_fractions).repeat_interleave(high_fractions.numel())
            high_C = (high * high_fractions).repeat(low_fractions.numel())
        scale_C, zero_C = choose_qparams(low_C, high_C, grid)
        best = int(_squared_error(centers_K, counts_K, scale_C, zero_C, grid).argmin())
        scale, zero = scale_C[best], zero_C[best]
        row, column = divmod(best, high_fractions.numel())
        low_fractions = _around(low_fractions[row], step)
        high_fractions = _around(high_fractions[column], step)
        step /= _REFINED // 2
    return scale, zero


def _around(center: Tensor, step: float) -> Tensor:
    offsets = torch.linspace(-step, step, _REFINED, dtype=torch.float64)
    return (center + offsets).clamp(1e-3, 1.0)


def _squared_error(centers_K: Tensor, counts_K: Tensor, scale_C: Tensor, zero_C: Tensor, grid: IntegerGrid) -> Tensor:
    """Weighted squared error (C,) of C candidates."""
    scale, zero = scale_C[:, None], zero_C[:, None]
    code = (centers_K / scale).round().clamp_(grid.quant_min - zero, grid.quant_max - zero)
    return (code.mul_(scale) - centers_K).square_() @ counts_K
