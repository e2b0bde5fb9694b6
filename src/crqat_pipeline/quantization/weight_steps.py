"""First steps of weights: the same rules as for activations, computed on the values themselves instead of a histogram.

Shape letters: G steps of a weight, N values of a step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crqat_pipeline.quantization.affine import choose_qparams, dequantize, quantize
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.initialization_rules import INITIALIZATIONS, NEEDS_HISTOGRAM
from crqat_pipeline.quantization.observers import Observer

_FRACTIONS = torch.linspace(0.3, 1.0, 71).tolist()


def initialize_weight(weight_GN: Tensor, grid: IntegerGrid, name: str, percentile: float) -> tuple[Tensor, Tensor]:
    """scale_G and zero_point_G (float32, on the weight's device) by the rule `name` of INITIALIZATIONS."""
    if name == "mse":
        return _from_squared_error(weight_GN, grid)
    if name == "percentile":
        tail = 1.0 - percentile / 100.0
        low_G = torch.quantile(weight_GN, tail, dim=1)
        high_G = torch.quantile(weight_GN, 1.0 - tail, dim=1)
        return choose_qparams(low_G, high_G, grid)
    observer = Observer(0, weight_GN.shape[0], has_histogram=name in NEEDS_HISTOGRAM)
    observer.update(weight_GN)
    scale_G, zero_point_G = INITIALIZATIONS[name](observer, grid, percentile)
    return scale_G.float().to(weight_GN.device), zero_point_G.float().to(weight_GN.device)


def _from_squared_error(weight_GN: Tensor, grid: IntegerGrid) -> tuple[Tensor, Tensor]:
    """OMSE per step: shrink the range of each row by 70 fractions and keep the best."""
    low_G, high_G = torch.aminmax(weight_GN, dim=1)
    best_scale_G, best_zero_G = choose_qparams(low_G, high_G, grid)
    best_error_G = torch.full_like(best_scale_G, torch.inf)
    for fraction in _FRACTIONS:
        scale_G, zero_G = choose_qparams(low_G * fraction, high_G * fraction, grid)
        codes_GN = quantize(weight_GN, scale_G, zero_G, grid, 0)
        error_G = (dequantize(codes_GN, scale_G, zero_G, 0) - weight_GN).square_().sum(1)
        is_better_G = error_G < best_error_G
        best_error_G = torch.where(is_better_G, error_G, best_error_G)
        best_scale_G = torch.where(is_better_G, scale_G, best_scale_G)
        best_zero_G = torch.where(is_better_G, zero_G, best_zero_G)
    return best_scale_G, best_zero_G
