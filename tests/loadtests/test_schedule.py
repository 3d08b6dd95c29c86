"""The schedule: drawn from the seed alone, at the rates and lengths that were asked for."""

import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule import arrivals, draw, expected_s, order

from deploykit.catalog.workload import ClosedLoop, Fixed, LogNormal, OpenLoop, SharedPrefix, Uniform
from tests.loadtests.builders import make_workload


def poisson(rate: float, duration_s: float, **more) -> OpenLoop:
    return OpenLoop(requests_per_s=rate, duration_s=duration_s, **more)


def test_the_same_seed_gives_the_same_arrivals_and_another_seed_or_stage_others() -> None:
    stage = poisson(50, 10)
    assert list(arrivals(stage, seed=1, index=0)) == list(arrivals(stage, seed=1, index=0))
    assert list(arrivals(stage, seed=1, index=0)) != list(arrivals(stage, seed=2, index=0))
    assert list(arrivals(stage, seed=1, index=0)) != list(arrivals(stage, seed=1, index=1))


def test_poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    times = list(arrivals(poisson(100, 200), seed=3, index=0))
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len(times) == pytest.approx(20_000, rel=0.03)  # sd is 141, 0.7 %
    assert statistics.stdev(gaps) / statistics.mean(gaps) == pytest.approx(1, abs=0.05)  # exponential gaps
    counts = [0] * 200
    for at in times:
        counts[int(at)] += 1
    assert statistics.variance(counts) / statistics.mean(counts) == pytest.approx(1, abs=0.35)  # index of dispersion


def test_constant_arrivals_are_evenly_spaced_and_do_not_drift() -> None:
    times = list(arrivals(poisson(3, 1000, arrivals="constant"), seed=0, index=0))
    assert len(times) == 3000
    assert times[-1] == 2999 / 3


@given(rate=st.floats(0.1, 200), duration_s=st.floats(0.1, 5), limit=st.none() | st.integers(1, 50), seed=st.integers())
def test_arrivals_rise_within_the_stage_and_respect_the_limit(
    rate: float, duration_s: float, limit: int | None, seed: int
) -> None:
    times = list(arrivals(poisson(rate, duration_s, max_requests=limit), seed=seed, index=0))
    assert times == sorted(times)
    assert all(0 <= at < duration_s for at in times)
    assert limit is None or len(times) <= limit


def test_a_request_is_the_same_in_whatever_order_requests_are_drawn() -> None:
    workload = make_workload(
        prompt_tokens=Uniform(low=10, high=1000), shared_prefix=SharedPrefix(tokens=64, distinct=4)
    )
    forwards = [order(workload, number) for number in range(20)]
    backwards = [order(workload, number) for number in reversed(range(20))]
    assert forwards == backwards[::-1]
    assert len({wanted.prompt_tokens for wanted in forwards}) > 10
    assert {wanted.prefix for wanted in forwards} == {0, 1, 2, 3}


def test_without_a_shared_prefix_no_request_has_one() -> None:
    assert order(make_workload(), 0).prefix is None


def test_lengths_follow_their_distributions() -> None:
    rng = random.Random(5)  # noqa: S311 - a test of lengths
    assert draw(Fixed(tokens=9), rng) == 9
    uniform = [draw(Uniform(low=3, high=6), rng) for _ in range(200)]
    assert set(uniform) == {3, 4, 5, 6}
    tail = [draw(LogNormal(median=100, sigma=1, low=20, high=400), rng) for _ in range(2000)]
    assert min(tail) == 20
    assert max(tail) == 400
    assert statistics.median(tail) == pytest.approx(100, rel=0.1)


def test_the_expected_length_adds_up_the_stages() -> None:
    assert expected_s(make_workload(stages=(ClosedLoop(users=1, duration_s=3), poisson(1, 4)))) == 7
