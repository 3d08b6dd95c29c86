"""The search for goodput: a queue whose answer is known, noise that is too large, and every outcome."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.measuring.intervals import wilson
from deploykit.measuring.searching import GoodputGoal, GoodputResult, NextTrial, Trial, find_goodput, requests_needed
from tests.measuring.builders import rng
from tests.measuring.queues import good_share, search, serve, true_goodput


def goal(**changes) -> GoodputGoal:
    return GoodputGoal(**{"share": 0.9, "start": 1, "lowest": 0.5, "highest": 64, **changes})


def step(*trials: tuple[float, int, int], **changes) -> NextTrial | GoodputResult:
    return find_goodput([Trial(rate=rate, good=good, total=total) for rate, good, total in trials], goal(**changes))


def rate_after(*trials: tuple[float, int, int], **changes) -> float:
    found = step(*trials, **changes)
    assert isinstance(found, NextTrial)
    return found.rate


def outcome(*trials: tuple[float, int, int], **changes) -> GoodputResult:
    found = step(*trials, **changes)
    assert isinstance(found, GoodputResult)
    return found


def test_the_queue_is_the_one_of_the_book() -> None:
    # Eight servers, seven requests a second: Erlang's B is 0.179, so C = B / (1 - 7/8 (1 - B)) = 0.635; times e^-0.5
    assert good_share(7) == pytest.approx(1 - 0.6353 * 0.6065, abs=1e-3)
    many = serve(rng(1), 6, 60_000)
    assert many.good / many.total == pytest.approx(good_share(6), abs=0.02)


def test_it_finds_the_known_rate_within_its_bounds() -> None:
    truth, found = true_goodput(0.9), []
    for seed in range(30):
        result, trials = search(rng(seed), goal(), 4000)
        assert trials <= 16
        found.append(result)
    answers = [r for r in found if r.outcome == "found"]
    assert len(answers) >= 24
    inside = sum((r.lower or 0) <= truth <= (r.upper or 0) for r in answers)
    assert inside >= 0.9 * len(answers)
    assert all(abs((r.rate or 0) / truth - 1) < 0.3 for r in answers)


def test_it_says_unresolved_where_the_noise_is_too_large() -> None:
    said = Counter(search(rng(seed), goal(), 12)[0].outcome for seed in range(30))
    assert said["unresolved"] >= 27  # twelve requests can show no share of 0.9
    assert said["found"] == 0


def test_it_doubles_while_it_holds_and_halves_while_it_fails() -> None:
    assert rate_after() == 1
    assert rate_after((1, 1000, 1000)) == 2
    assert rate_after((1, 1000, 1000), (2, 1000, 1000)) == 4
    assert rate_after((1, 100, 1000)) == 0.5
    assert rate_after((1, 1000, 1000), (2, 100, 1000)) == pytest.approx(2**0.5, rel=1e-5)


def test_a_rate_that_cannot_be_told_is_tried_again_then_stepped_around() -> None:
    held, unknown, failed = (8, 1000, 1000), (10, 900, 1000), (16, 0, 1000)
    assert rate_after(held, failed, unknown) == 10
    # both sides of it are open: 8 to 10 and 10 to 16, the wider one first
    assert rate_after(held, failed, unknown, unknown) == pytest.approx((10 * 16) ** 0.5, rel=1e-5)
    lower, upper = (9.6, 1000, 1000), (10.4, 0, 1000)
    found = outcome(held, failed, unknown, unknown, lower, upper)
    assert (found.outcome, found.rate, found.lower, found.upper) == ("found", 9.6, 9.6, 10.4)


def test_every_outcome() -> None:
    assert outcome((64, 1000, 1000)).outcome == "unsaturated"
    assert outcome((64, 1000, 1000)).rate == 64
    nothing = outcome((1, 0, 1000), (0.5, 0, 1000))
    assert (nothing.outcome, nothing.rate, nothing.upper) == ("none", None, 0.5)
    near = outcome((10, 1000, 1000), (10.4, 0, 1000))
    assert (near.outcome, near.rate) == ("found", 10)
    spent = outcome((10, 1000, 1000), (20, 0, 1000), most_trials=2)
    assert (spent.outcome, spent.lower, spent.upper) == ("unresolved", 10, 20)
    assert "between 10/s and 20/s" in spent.why


def test_a_rate_that_holds_above_one_that_fails_is_tried_again_and_then_told() -> None:
    both = [(10, 100, 1000), (12, 1000, 1000)]
    assert rate_after(*both) in (10, 12)
    found = outcome(*both * 3)
    assert found.outcome == "unresolved"
    assert "12/s holds while 10/s fails" in found.why


def test_a_trial_without_requests_tells_nothing() -> None:
    assert rate_after((1, 0, 0)) == 1
    assert outcome((1, 0, 0), (1, 0, 0), (0.5, 0, 0), (0.5, 0, 0), highest=1).outcome == "unresolved"


@pytest.mark.parametrize(("share", "needed"), [(0.9, 35), (0.95, 73), (0.99, 381)])
def test_a_share_needs_its_requests(share: float, needed: int) -> None:
    assert requests_needed(share) == needed  # z^2 share / (1 - share): 34.6, 73.0, 380.3
    assert wilson(needed, needed)[0] >= share > wilson(needed - 1, needed - 1)[0]


@given(st.integers(0, 2**32), st.floats(0.5, 0.99), st.integers(1, 400), st.floats(0.3, 60), st.booleans())
def test_every_search_ends_with_an_answer_in_order(
    seed: int, share: float, size: int, true: float, noisy: bool
) -> None:
    draw, trials, asked = rng(seed), [], goal(share=share)
    while isinstance(found := find_goodput(trials, asked), NextTrial):
        assert 0.5 <= found.rate <= 64
        chance = draw.random() if noisy else (1.0 if found.rate <= true else 0.0)
        trials.append(Trial(rate=found.rate, good=sum(draw.random() < chance for _ in range(size)), total=size))
        assert len(trials) <= asked.most_trials
    if found.outcome == "found":
        assert found.lower is not None
        assert found.upper is not None
        assert found.rate == found.lower < found.upper <= found.lower * 1.3 * (1 + 1e-9)
        if not noisy:
            assert found.lower <= true <= found.upper
    if found.outcome == "unsaturated":
        assert found.rate == 64
