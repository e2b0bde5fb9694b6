"""Means, deviations and paired intervals, by hand and against SciPy."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from crqat_pipeline.study.statistics import Paired, holm, mean_and_deviation, paired_difference


def test_mean_and_sample_deviation_by_hand():
    assert mean_and_deviation([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_deviation([5.0])[0] == 5.0
    assert math.isnan(mean_and_deviation([5.0])[1])
    assert all(map(math.isnan, mean_and_deviation([])))


def test_paired_difference_by_hand():
    """Differences 2, 3, 1 on the seeds that both have: mean 2, deviation 1, t(0.975, 2) = 4.302653."""
    paired = paired_difference({0: 3.0, 1: 5.0, 2: 4.0, 7: 0.0}, {2: 3.0, 1: 2.0, 0: 1.0, 9: 100.0})
    assert paired.mean == pytest.approx(2.0)
    assert (paired.low, paired.high) == (pytest.approx(2 - 4.302653 / math.sqrt(3)), pytest.approx(2 + 2.484137))
    assert paired.num_seeds == 3


@pytest.mark.parametrize("seed", range(5))
def test_interval_is_that_of_the_paired_t_test(seed):
    ours, theirs = np.random.default_rng(seed).normal(size=(2, 5 + seed))
    expected = ttest_rel(ours, theirs).confidence_interval(0.95)
    paired = paired_difference(dict(enumerate(ours)), dict(enumerate(theirs)))
    assert (paired.low, paired.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert paired.mean == pytest.approx((ours - theirs).mean())
    assert paired.is_clear == (ttest_rel(ours, theirs).pvalue < 0.05)


@pytest.mark.parametrize(
    ("low", "high", "is_clear"), [(0.1, 0.3, True), (-0.3, -0.1, True), (-0.1, 0.3, False), (0.0, 0.2, False)]
)
def test_an_interval_is_clear_when_it_lies_on_one_side_of_zero(low, high, is_clear):
    assert Paired((low + high) / 2, low, high, 5).is_clear == is_clear


@pytest.mark.parametrize("seed", range(5))
def test_p_value_is_that_of_the_paired_t_test(seed):
    ours, theirs = np.random.default_rng(seed).normal(size=(2, 5 + seed))
    paired = paired_difference(dict(enumerate(ours)), dict(enumerate(theirs)))
    assert paired.p_value == pytest.approx(ttest_rel(ours, theirs).pvalue)


def test_differences_without_spread_are_certain():
    assert paired_difference({0: 3.0, 1: 4.0}, {0: 1.0, 1: 2.0}).p_value == 0.0
    assert paired_difference({0: 3.0, 1: 4.0}, {0: 3.0, 1: 4.0}).p_value == 1.0


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.4 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.4; the third may not fall below the second."""
    got = holm({"c": 0.03, "a": 0.01, "d": 0.4, "b": 0.02})
    assert list(got) == ["c", "a", "d", "b"]
    assert got == {
        "a": pytest.approx(0.04),
        "b": pytest.approx(0.06),
        "c": pytest.approx(0.06),
        "d": pytest.approx(0.4),
    }
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_holm_of_one_comparison_changes_nothing():
    assert holm({"a": 0.03}) == {"a": 0.03}


def test_fewer_than_two_common_seeds_are_refused_with_their_number():
    with pytest.raises(ValueError, match="at least two seeds that both methods have; got 1"):
        paired_difference({0: 1.0, 1: 2.0}, {1: 1.0, 2: 2.0})
