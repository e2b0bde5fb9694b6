"""What calibration remembers of a tensor: a fixed amount of memory, whatever the number of images, and no randomness.

Shape letters: G groups (steps) of a tensor, N values of a group, K bins of a histogram.
"""

from __future__ import annotations

import torch
from torch import Tensor

NUM_BINS = 2048
_CHUNK = 1 << 23  # histc counts in float32: exact below 2^24 values


def grouped(x: Tensor, axis: int | None, num_steps: int) -> Tensor:
    """(G, N): the values of x by step; neighbours along the axis share a step when G divides its size."""
    if axis is None:
        return x.reshape(1, -1)
    return x.movedim(axis, 0).reshape(num_steps, -1)


class Observer:
    """Streams tensors into per-group minimum, maximum, moments and, if asked, histograms.

    The histogram of a group covers [low, high); when a value falls outside, pairs of bins are merged until it fits, so
    the counts stay exact and do not depend on anything but the data and its order.
    """

    def __init__(self, axis: int | None, num_steps: int, *, has_histogram: bool) -> None:
        self.axis, self.num_steps, self.has_histogram = axis, num_steps, has_histogram
        self.count = 0
        self.min_G = torch.full((num_steps,), torch.inf, dtype=torch.float64)
        self.max_G = torch.full((num_steps,), -torch.inf, dtype=torch.float64)
        self.sum_G, self.sum_abs_G, self.sum_squares_G = (torch.zeros(num_steps, dtype=torch.float64) for _ in range(3))
        self.histograms: list[Histogram] = []

    def update(self, x: Tensor) -> None:
        """Take in one tensor. Raises ValueError if it holds NaN or infinity."""
        if x.numel() == 0:
            return
        values_GN = grouped(x.detach(), self.axis, self.num_steps).float()
        low_G, high_G = (bound.cpu().double() for bound in torch.aminmax(values_GN, dim=1))
        if not bool(torch.isfinite(low_G).all() and torch.isfinite(high_G).all()):
            raise ValueError(
                "Calibration needs finite values; got NaN or infinity. Check the weights and the calibration images."
            )
        self.count += values_GN.shape[1]
        self.min_G = torch.minimum(self.min_G, low_G)
        self.max_G = torch.maximum(self.max_G, high_G)
        self.sum_G += values_GN.sum(1, dtype=torch.float64).cpu()
        self.sum_abs_G += values_GN.abs().sum(1, dtype=torch.float64).cpu()
        self.sum_squares_G += values_GN.square().sum(1, dtype=torch.float64).cpu()
        if self.has_histogram:
            if not self.histograms:
                self.histograms = [Histogram() for _ in range(self.num_steps)]
            for histogram, values_N, low, high in zip(
                self.histograms, values_GN, low_G.tolist(), high_G.tolist(), strict=True
            ):
                histogram.update(values_N, low, high)

    @property
    def mean_abs(self) -> Tensor:
        return self.sum_abs_G / self.count

    @property
    def mean(self) -> Tensor:
        return self.sum_G / self.count

    @property
    def std(self) -> Tensor:
        return (self.sum_squares_G / self.count - self.mean.square()).clamp(min=0).sqrt()


class Histogram:
    """Exact counts_K (float64) of the values in [low, high], in K equal bins."""

    def __init__(self, num_bins: int = NUM_BINS) -> None:
        self.counts_K = torch.zeros(num_bins, dtype=torch.float64)
        self.low = self.high = 0.0

    def update(self, values_N: Tensor, low: float, high: float) -> None:
        """Add values whose extremes are low and high."""
        if self.counts_K.sum() == 0:
            pad = max((high - low) * 1e-3, abs(high) * 1e-6, 1e-12)
            self.low, self.high = low - pad, high + pad
        while low < self.low:
            self._merge(extend_low=True)
        while high > self.high:
            self._merge(extend_low=False)
        for chunk_N in torch.split(values_N, _CHUNK):
            self.counts_K += torch.histc(chunk_N, self.counts_K.numel(), self.low, self.high).double().cpu()

    @property
    def centers(self) -> Tensor:
        width = (self.high - self.low) / self.counts_K.numel()
        return self.low + width * (torch.arange(self.counts_K.numel(), dtype=torch.float64) + 0.5)

    def quantile(self, fraction: float) -> float:
        """The value below which this fraction of the counts lies, to the width of one bin."""
        cumulative_K = self.counts_K.cumsum(0) / self.counts_K.sum()
        index = int(torch.searchsorted(cumulative_K, fraction).clamp(max=self.counts_K.numel() - 1))
        return float(self.centers[index])

    def _merge(self, *, extend_low: bool) -> None:
        pairs_K = self.counts_K.reshape(-1, 2).sum(1)
        empty_K = torch.zeros_like(pairs_K)
        width = self.high - self.low
        if extend_low:
            self.low -= width
            self.counts_K = torch.cat([empty_K, pairs_K])
        else:
            self.high += width
            self.counts_K = torch.cat([pairs_K, empty_K])
