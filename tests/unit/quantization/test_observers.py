from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crqat_pipeline.quantization.affine import choose_qparams, dequantize, quantize
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.initialization_rules import INITIALIZATIONS
from crqat_pipeline.quantization.observers import Histogram, Observer, grouped
from crqat_pipeline.quantization.weight_steps import initialize_weight

UNSIGNED, SIGNED = IntegerGrid(4, False), IntegerGrid(4, True)


def observed(*batches, axis=None, num_steps=1) -> Observer:
    observer = Observer(axis, num_steps, has_histogram=True)
    for batch in batches:
        observer.update(batch)
    return observer


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20), min_size=1, max_size=6))
def test_histogram_never_loses_a_count(batches):
    histogram = Histogram(16)
    for batch in batches:
        values = torch.tensor(batch)
        histogram.update(values, float(values.min()), float(values.max()))
    assert histogram.counts_K.sum() == sum(len(batch) for batch in batches)
    assert histogram.low <= min(min(batch) for batch in batches)
    assert histogram.high >= max(max(batch) for batch in batches)


def test_growing_range_counts_as_if_it_had_been_known():
    histogram = Histogram(8)
    histogram.low, histogram.high = 0.0, 8.0
    histogram.counts_K += torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8])
    histogram._merge(extend_low=False)
    assert (histogram.low, histogram.high) == (0.0, 16.0)
    assert histogram.counts_K.tolist() == [3, 7, 11, 15, 0, 0, 0, 0]
    histogram._merge(extend_low=True)
    assert (histogram.low, histogram.high) == (-16.0, 16.0)
    assert histogram.counts_K.tolist() == [0, 0, 0, 0, 10, 26, 0, 0]


def test_groups_follow_the_axis():
    x = torch.arange(24.0).reshape(2, 4, 3)
    assert grouped(x, 1, 4)[1].tolist() == [3, 4, 5, 15, 16, 17]
    assert grouped(x, 1, 2).shape == (2, 12)
    observer = observed(x, axis=1, num_steps=4)
    assert observer.min_G.tolist() == [0, 3, 6, 9]
    assert observer.max_G.tolist() == [14, 17, 20, 23]


def test_moments_by_hand():
    observer = observed(torch.tensor([-1.0, 3.0]), torch.tensor([2.0, 0.0]))
    assert observer.mean.item() == 1.0
    assert observer.mean_abs.item() == 1.5
    assert observer.std.item() == (14 / 4 - 1) ** 0.5
    scale_G, zero_G = INITIALIZATIONS["lsq"](observer, SIGNED, 99.9)
    assert scale_G.item() == 2 * 1.5 / 7**0.5
    assert zero_G.item() == 0


def test_percentile_ignores_outliers():
    x = torch.cat([torch.linspace(0, 1, 9_990), torch.full((10,), 100.0)])
    scale_G, _ = INITIALIZATIONS["percentile"](observed(x), UNSIGNED, 99.0)
    assert scale_G.item() * 15 < 1.2


def _error(x, scale_G, zero_G, grid):
    scale_G, zero_G = scale_G.float(), zero_G.float()
    return (dequantize(quantize(x, scale_G, zero_G, grid), scale_G, zero_G) - x).square().mean().item()


def test_omse_beats_minmax_after_silu_as_measured():
    x = torch.nn.functional.silu(1.2 * torch.randn(200_000, generator=torch.Generator().manual_seed(0)))
    observer = observed(x)
    best = INITIALIZATIONS["mse"](observer, UNSIGNED, 99.9)
    minmax = INITIALIZATIONS["minmax"](observer, UNSIGNED, 99.9)
    assert _error(x, *best, UNSIGNED) < 0.5 * _error(x, *minmax, UNSIGNED)
    assert 0.2 < best[0].item() < 0.27
    assert best[1].item() == 1


def test_weight_rules_work_per_channel():
    weight_GN = torch.randn(5, 200, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[0.01], [1], [2], [5], [0]]
    )
    for rule in INITIALIZATIONS:
        scale_G, zero_G = initialize_weight(weight_GN, SIGNED, rule, 99.9)
        assert scale_G.shape == zero_G.shape == (5,)
        assert scale_G.dtype == torch.float32
        assert (scale_G > 0).all()
        assert scale_G[0] < scale_G[1] < scale_G[3]
    errors = []
    for rule in ("mse", "minmax"):
        scale_G, zero_G = initialize_weight(weight_GN, SIGNED, rule, 99.9)
        errors.append((dequantize(quantize(weight_GN, scale_G, None, SIGNED, 0), scale_G, None, 0) - weight_GN).norm())
    assert errors[0] < errors[1]


def test_choose_qparams_contains_zero():
    scale_G, zero_G = choose_qparams(torch.tensor([1.0, -3.0, 0.0]), torch.tensor([3.0, -1.0, 0.0]), UNSIGNED)
    torch.testing.assert_close(scale_G, torch.tensor([0.2, 0.2, 1 / 15]))
    assert zero_G.tolist() == [0, 15, 0]
