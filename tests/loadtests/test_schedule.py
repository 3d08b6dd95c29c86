"""The schedule: drawn from the seed alone, at the rates and lengths that were asked for."""

import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule import arrivals, conversation, deal, draw, due, expected_s, mean_turns, order, present, script

from deploykit.catalog.workload import ClosedLoop, Fixed, LogNormal, OpenLoop, Sessions, SharedPrefix, Uniform
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


stages = st.builds(
    OpenLoop,
    requests_per_s=st.floats(0.5, 200),
    to_requests_per_s=st.none() | st.floats(0.5, 200),
    duration_s=st.floats(0.5, 5),
    arrivals=st.just("gamma"),
    cv=st.floats(0.05, 5),
) | st.builds(
    OpenLoop,
    requests_per_s=st.floats(0.5, 200),
    to_requests_per_s=st.none() | st.floats(0.5, 200),
    duration_s=st.floats(0.5, 5),
    arrivals=st.sampled_from(["poisson", "constant"]),
)


@given(stage=stages, workers=st.integers(1, 9), seed=st.integers(0, 1000))
def test_any_number_of_workers_share_one_schedule(stage: OpenLoop, workers: int, seed: int) -> None:
    whole = list(enumerate(arrivals(stage, seed=seed, index=1)))
    shares = [list(deal(arrivals(stage, seed=seed, index=1), worker, workers)) for worker in range(workers)]
    assert sorted(itertools.chain(*shares)) == whole
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert all(0 <= at < stage.duration_s for _, at in whole)
    assert [at for _, at in whole] == sorted(at for _, at in whole)


def test_there_is_no_worker_beyond_the_last() -> None:
    with pytest.raises(ValueError, match="no worker 2 of 2"):
        deal([0.0], 2, 2)


@pytest.mark.parametrize("cv", [0.2, 1.0, 3.0])
def test_gamma_gaps_have_the_rate_and_the_variation_they_name(cv: float) -> None:
    counts, every = [], []
    for seed in range(40):
        times = list(arrivals(poisson(50, 20, arrivals="gamma", cv=cv), seed=seed, index=0))
        counts.append(len(times))
        every += [after - before for before, after in itertools.pairwise(times)]
    assert statistics.stdev(every) / statistics.mean(every) == pytest.approx(cv, rel=0.06)
    # 1,000 expected each; of 40 runs the mean's deviation is cv x sqrt(1000 / 40)
    assert statistics.mean(counts) == pytest.approx(1000, abs=3 * cv * 5 + 1)


def test_a_ramp_has_its_rate_at_every_moment() -> None:
    times = list(arrivals(poisson(10, 100, to_requests_per_s=30, arrivals="constant"), seed=0, index=0))
    assert len(times) == 2000  # (10 + 30) / 2 x 100
    assert sum(at < 50 for at in times) == 750  # (10 + 20) / 2 x 50
    down = list(arrivals(poisson(30, 100, to_requests_per_s=10), seed=4, index=0))
    assert len(down) == pytest.approx(2000, abs=150)
    assert sum(at < 50 for at in down) == pytest.approx(1250, abs=120)


@given(users=st.integers(1, 50), to=st.integers(1, 50))
def test_users_of_a_ramp_come_and_leave_on_a_straight_line(users: int, to: int) -> None:
    stage = ClosedLoop(users=users, to_users=to, duration_s=10)
    spans = [present(stage, user) for user in range(max(users, to))]
    for at in (0.0, 2.5, 5.0, 9.999):
        there = sum(begin <= at < end for begin, end in spans)
        assert abs(there - (users + (to - users) * at / 10)) <= 0.5 + 1e-9
    assert present(ClosedLoop(users=3, duration_s=10), 2) == (0, 10)


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


def sessions(**changes) -> Sessions:
    return Sessions(**{"turns": Uniform(low=2, high=6), "think_time_s": 3} | changes)


def test_a_session_grows_by_what_was_said() -> None:
    workload = make_workload(
        prompt_tokens=Uniform(low=50, high=90),
        shared_prefix=SharedPrefix(tokens=1000, distinct=4),
        sessions=sessions(first_prompt_tokens=Fixed(tokens=400)),
    )
    turns = conversation(workload, 11)
    assert turns == conversation(workload, 11) != conversation(workload, 12)
    assert 2 <= len(turns) <= 6
    assert len({turn.prefix for turn in turns}) == 1
    assert (turns[0].whole_prompt_tokens, turns[0].reusable_tokens, turns[0].think_time_s) == (1400, 1000, 0)
    for before, turn in itertools.pairwise(turns):
        grown = before.whole_prompt_tokens + before.output_tokens + turn.prompt_tokens
        assert (turn.whole_prompt_tokens, turn.reusable_tokens) == (grown, before.whole_prompt_tokens)
        assert turn.think_time_s == 3


def test_a_full_context_ends_a_session_but_never_its_first_turn() -> None:
    workload = make_workload(sessions=sessions(turns=Fixed(tokens=6), max_context_tokens=240))
    assert [turn.whole_prompt_tokens for turn in conversation(workload, 0)] == [60, 140, 220]
    assert len(conversation(make_workload(sessions=sessions(max_context_tokens=10)), 0)) == 1


def test_a_workload_without_sessions_has_none() -> None:
    with pytest.raises(ValueError, match="has no sessions"):
        conversation(make_workload(), 0)


@given(stage=st.integers(0, 5), goes=st.lists(st.integers(0, 10_000), min_size=1, max_size=8, unique=True))
def test_requests_have_numbers_of_their_own(stage: int, goes: list[int]) -> None:
    for workload in (make_workload(), make_workload(sessions=sessions())):
        numbers = [order.request for go in goes for order in script(workload, stage, go)]
        assert len(set(numbers)) == len(numbers)
        assert all(stage * 10_000_000 <= number < (stage + 1) * 10_000_000 for number in numbers)
    assert script(make_workload(), stage, goes[0]) == (order(make_workload(), stage * 10_000_000 + goes[0]),)


def test_a_rate_counts_the_requests_of_sessions() -> None:
    workload, stage = make_workload(sessions=sessions()), poisson(100, 200)
    begun = len(list(due(workload, stage, 0)))
    assert mean_turns(workload) == pytest.approx(4, abs=0.15)
    assert begun * mean_turns(workload) == pytest.approx(20_000, rel=0.05)
    assert list(due(make_workload(), stage, 0)) == list(arrivals(stage, seed=7, index=0))


def test_the_expected_length_adds_up_the_stages() -> None:
    assert expected_s(make_workload(stages=(ClosedLoop(users=1, duration_s=3), poisson(1, 4)))) == 7
