"""Intervals: against scipy's distributions, against books, and by how often they hold what they say they hold."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from deploykit.measuring.intervals import mean_interval, order_ranks, t_quantile, wilson
from tests.measuring.builders import rng


@given(n=st.integers(1, 20_000), p=st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.99, 0.999]))
@example(n=11, p=0.5)
@example(n=662, p=0.99)
@example(n=3_000_000, p=0.99)
def test_the_ranks_are_the_tightest_whose_tails_are_small_enough(n: int, p: float) -> None:
    ranks, below = order_ranks(n, p), stats.binom(n, p).cdf
    if ranks is None:
        assert below(0) > 0.025 or below(n - 1) < 0.975
        return
    low, high = ranks
    assert below(low - 1) <= 0.025 * (1 + 1e-6)
    assert below(low) >= 0.025 * (1 - 1e-6)
    assert below(high - 1) >= 0.975 - 1e-7
    assert below(high - 2) <= 0.975 + 1e-7


def test_ranks_worked_by_hand() -> None:
    # Eleven values, the median: P(B <= 1) = 12 / 2048 = 0.0059, P(B <= 2) = 67 / 2048 = 0.0327: the 2nd and the 10th.
    assert order_ranks(11, 0.5) == (2, 10)
    assert order_ranks(5, 0.5) is None  # P(B <= 0) = 1 / 32


def test_the_interval_of_a_quantile_holds_it_as_often_as_it_says() -> None:
    draw, inside = rng(3), 0
    low, high = order_ranks(700, 0.99) or (0, 0)
    truth = -math.log(0.01)
    for _ in range(400):
        ordered = sorted(draw.expovariate(1) for _ in range(700))
        inside += ordered[low - 1] <= truth <= ordered[high - 1]
    assert inside / 400 >= 0.93


@given(good=st.integers(0, 500), bad=st.integers(0, 500))
def test_wilson_is_scipys_and_holds_the_share(good: int, bad: int) -> None:
    total = good + bad
    low, high = wilson(good, total)
    if total == 0:
        assert (low, high) == (0, 1)
        return
    same = stats.binomtest(good, total).proportion_ci(0.95, method="wilson")
    assert (low, high) == (pytest.approx(same.low, abs=1e-9), pytest.approx(same.high, abs=1e-9))
    assert 0 <= low <= good / total <= high <= 1


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29, 100])
@pytest.mark.parametrize("p", [0.6, 0.9, 0.975, 0.995])
def test_t_is_scipys(p: float, freedom: int) -> None:
    assert t_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-9)


def test_the_interval_across_runs_is_that_of_the_logarithms() -> None:
    # ln of 100, 110, 121: 4.605, 4.700, 4.796; mean 4.7005, deviation 0.0953, t(2) = 4.3027: 4.7005 +- 0.2368
    found = mean_interval([100, 110, 121])
    assert found is not None
    assert found.low == pytest.approx(86.81, abs=0.01)
    assert found.high == pytest.approx(139.39, abs=0.01)
    assert mean_interval([5.0]) is None
    plain = mean_interval([0.0, 2.0])  # no logarithm of zero: 1 +- 12.706
    assert plain is not None
    assert plain.low == pytest.approx(1 - 12.7062, abs=1e-3)
