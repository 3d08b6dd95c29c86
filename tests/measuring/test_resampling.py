"""The block bootstrap: the same each time, right where neighbours are alike, and silent where it knows too little."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.measuring.resampling import block_seconds, ratio_interval
from tests.measuring.builders import rng


def alike(draw: random.Random, n: int, phi: float) -> list[float]:
    """A series about 10 whose neighbours are alike."""
    value, made = draw.gauss(0, 1), []
    for _ in range(n):
        value = phi * value + (1 - phi * phi) ** 0.5 * draw.gauss(0, 1)
        made.append(10 + value)
    return made


def test_the_same_series_and_seed_give_the_same_interval() -> None:
    values = alike(rng(1), 120, 0.5)
    ones = [1.0] * 120
    first = ratio_interval(values, ones, 10, seed=7)
    assert first == ratio_interval(values, ones, 10, seed=7)
    assert first != ratio_interval(values, ones, 10, seed=8)


def test_blocks_make_the_interval_hold_the_truth_where_single_values_do_not() -> None:
    def covered(block: int, runs: int) -> float:
        inside = 0
        for seed in range(runs):
            found = ratio_interval(alike(rng(seed), 400, 0.9), [1.0] * 400, block, seed=seed)
            assert found is not None
            assert found.high is not None
            inside += found.low <= 10 <= found.high
        return inside / runs

    assert covered(40, 100) >= 0.8  # a little below 0.95, as with ten blocks it must be
    assert covered(4, 30) < 0.7


@given(st.floats(0, 1e3), st.floats(0.1, 10))
def test_what_does_not_change_has_an_interval_without_width(value: float, seconds: float) -> None:
    found = ratio_interval([value] * 40, [seconds] * 40, 4, seed=0)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(value / seconds), pytest.approx(value / seconds))


def test_a_mean_is_the_sum_over_the_count() -> None:
    found = ratio_interval([2.0, 4.0] * 20, [1.0, 2.0] * 20, 4, seed=1)  # 2 each, whichever blocks are drawn
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(2), pytest.approx(2))


def test_too_little_says_nothing() -> None:
    assert ratio_interval([1.0] * 5, [1.0] * 5, 3, seed=1) is None
    assert ratio_interval([0.0] * 40, [0.0] * 40, 4, seed=1) is None
    assert ratio_interval([1.0] + [0.0] * 39, [1.0] + [0.0] * 39, 1, seed=1) is None  # many resamples hold no value


def test_a_block_is_half_a_minute_or_a_tenth_of_the_window() -> None:
    assert (block_seconds(600), block_seconds(300), block_seconds(60)) == (30, 30, 6)
