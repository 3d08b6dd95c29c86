"""Quantiles: exact order statistics, and none where there are too few values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.measuring.intervals import order_ranks
from deploykit.measuring.quantiles import needed, quantiles, rank, withheld


@pytest.mark.parametrize(("p", "n"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662)])
def test_the_sample_sizes_are_those_of_the_binomial_rule(p: float, n: int) -> None:
    def at_most_one_above(count: int) -> float:
        return sum(math.comb(count, k) * (1 - p) ** k * p ** (count - k) for k in (0, 1))

    assert needed(p) == n
    assert at_most_one_above(n) <= 0.01 < at_most_one_above(n - 1)


def test_a_quantile_is_the_value_at_its_rank() -> None:
    told = quantiles([float(value) for value in range(1, 1001)])
    assert (told.p50, told.p90, told.p95, told.p99) == (500, 900, 950, 990)
    assert rank(999, 0.5) == 500  # 499.5 rounded up
    assert rank(20, 0.95) == 19  # 0.95 * 20 is a hair above 19


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
        "censored": 0,
        "beyond": {},
        "intervals": {},
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


def test_what_failed_counts_as_longer_than_anything_that_was_seen() -> None:
    # 90 answers of 1 to 90 s, ten requests cut short at 5 s each (five) and 200 s (five): rank 90 is the last one seen,
    # rank 95 is cut short: it exceeds 90 s, whatever 5 s say; rank 99 of 100 is none of p99's business, too few.
    told = quantiles([float(n) for n in range(1, 91)], [5.0] * 5 + [200.0] * 5)
    assert (told.count, told.censored, told.mean, told.max) == (100, 10, 45.5, 90)
    assert (told.p50, told.p90, told.p95) == (50, 90, None)
    assert told.beyond == {}  # p95 needs 130 values
    more = quantiles([float(n) for n in range(1, 131)], [5.0] * 5 + [200.0] * 5)
    assert rank(140, 0.95) == 133
    assert (more.p95, more.beyond) == (None, {"p95": 130.0})  # the third of those cut at 5 s
    assert quantiles([1.0] * 125, [200.0] * 15).beyond == {"p90": 200.0, "p95": 200.0}  # ranks 126 and 133


def test_an_interval_ends_nowhere_where_its_upper_value_was_cut_short() -> None:
    told = quantiles([float(n) for n in range(1, 121)], [1.0] * 20)
    low, high = order_ranks(140, 0.9) or (0, 0)
    assert (low, high) == (119, 134)
    assert told.beyond["p90"] == 120.0  # rank 126 of 140
    assert told.intervals["p90"].model_dump() == {"low": 119.0, "high": None}
    assert told.intervals["p50"].high == order_ranks(140, 0.5)[1]  # type: ignore[index]


def test_gaps_of_one_stream_get_no_intervals() -> None:
    assert quantiles([1.0] * 700).intervals.keys() == {"p50", "p90", "p95", "p99"}
    assert quantiles([1.0] * 700, independent=False).intervals == {}


@given(seen=st.lists(st.floats(0, 1e3), min_size=1, max_size=300), cut=st.lists(st.floats(0, 1e3), max_size=60))
def test_cutting_short_never_makes_anything_look_faster(seen: list[float], cut: list[float]) -> None:
    all_seen, told = quantiles(seen), quantiles(seen, cut)
    for name in ("p50", "p90", "p95", "p99"):
        before, after = getattr(all_seen, name), getattr(told, name)
        if before is not None:
            known = after if after is not None else told.beyond[name]
            assert known >= before
        if name in told.beyond:
            assert after is None
            assert told.beyond[name] >= max(seen)
        if after is not None:
            interval = told.intervals[name]
            assert interval.low <= after
            assert interval.high is None or after <= interval.high
