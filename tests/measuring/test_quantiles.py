"""Quantiles: exact order statistics, and none where there are too few values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.measuring.quantiles import needed, quantile, quantiles, withheld


@pytest.mark.parametrize(("p", "n"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662)])
def test_the_sample_sizes_are_those_of_the_binomial_rule(p: float, n: int) -> None:
    def at_most_one_above(count: int) -> float:
        return sum(math.comb(count, k) * (1 - p) ** k * p ** (count - k) for k in (0, 1))

    assert needed(p) == n
    assert at_most_one_above(n) <= 0.01 < at_most_one_above(n - 1)


def test_a_quantile_is_the_value_at_its_rank() -> None:
    ordered = [float(value) for value in range(1, 1001)]
    assert [quantile(ordered, p) for p in (0.5, 0.9, 0.95, 0.99)] == [500, 900, 950, 990]
    assert quantile(ordered[:999], 0.5) == 500  # the 500th of 999: 499.5 rounded up


def test_a_quantile_is_none_below_its_sample_size_and_there_at_it() -> None:
    told = quantiles([1.0] * 129)
    assert (told.p50, told.p90, told.p95, told.p99) == (1.0, 1.0, None, None)
    assert quantiles([1.0] * 130).p95 == 1.0
    assert quantiles([1.0] * 10).p50 is None
    assert quantiles([1.0] * 661).p99 is None
    assert quantiles([1.0] * 662).p99 == 1.0


def test_of_no_value_nothing_is_told() -> None:
    nothing = quantiles([])
    assert (nothing.count, nothing.mean, nothing.max) == (0, None, None)
    assert withheld(5).model_dump() == {
        "count": 5,
        "mean": None,
        "p50": None,
        "p90": None,
        "p95": None,
        "p99": None,
        "max": None,
    }


@given(few=st.lists(st.floats(0, 1e6), min_size=1, max_size=40), extra=st.integers(0, 30))
def test_quantiles_are_values_and_split_the_sample_as_they_say(few: list[float], extra: int) -> None:
    values = (few * 700)[: 662 + extra]
    told = quantiles(reversed(values))
    for p, value in ((0.5, told.p50), (0.9, told.p90), (0.95, told.p95), (0.99, told.p99)):
        assert value in values
        assert value is not None
        assert sum(other <= value for other in values) >= p * len(values) - 1e-6
        assert sum(other < value for other in values) < p * len(values)
    assert told.max == max(values)
