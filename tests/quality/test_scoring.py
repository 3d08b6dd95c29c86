"""Pass rates, differences and dollars, by hand and by what must hold."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.measuring.intervals import wilson
from deploykit.quality.comparing import compression
from deploykit.quality.scoring import paired, price_by_mix, price_by_offer, rate_interval, summed
from tests.costing.builders import make_offer, make_period, usd
from tests.quality.builders import make_answer, make_answers, make_asked

NAMES = ("ours", "api-1")


def test_failures_are_in_no_rate():
    one = summed(make_asked(), make_answers("PPWF"), runs=1)
    assert (one.passed, one.wrong, one.failed, one.tasks) == (2, 1, 1, 3)
    assert one.pass_rate == pytest.approx(2 / 3)
    assert (one.interval.low, one.interval.high) == wilson(2, 3)
    assert (one.output_tokens, one.output_tokens_per_solved) == (30, 15)


def test_nothing_answered_is_unknown_and_not_zero():
    one = summed(make_asked(), make_answers("FF"), runs=1)
    assert (one.pass_rate, one.interval, one.output_tokens, one.output_tokens_per_solved) == (None, None, None, None)


def test_tokens_are_unknown_where_one_answer_does_not_tell():
    answers = [*make_answers("PP"), make_answer("x", output_tokens=None)]
    assert summed(make_asked(), answers, runs=1).output_tokens is None


def test_an_answer_that_was_cut_off_is_counted():
    answers = [make_answer("a", "wrong", finish_reason="length"), make_answer("b", finish_reason="length")]
    assert summed(make_asked(), answers, runs=1).cut_off == 1


def test_runs_that_always_agree_count_once():
    """Four runs of each of 10 tasks, all alike: as wide as one run each."""
    alike = rate_interval([(4, 4)] * 6 + [(0, 4)] * 4)
    low, high = wilson(6, 10)
    assert (alike.low, alike.high) == (pytest.approx(low), pytest.approx(high))
    assert rate_interval([(4, 4)] * 10) == rate_interval([(1, 1)] * 10), "and so where all passed"
    mixed = rate_interval([(2, 4)] * 10)
    assert mixed.high - mixed.low < high - low


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)).map(lambda t: (min(t), t[1])), min_size=1, max_size=30))
def test_an_interval_is_within_what_tasks_and_answers_would_give(scores):
    good, all_ = sum(g for g, _ in scores), sum(n for _, n in scores)
    found, rate = rate_interval(scores), good / all_
    low, high = wilson(good, all_)
    assert 0 <= found.low <= rate <= found.high <= 1
    assert found.high - found.low >= high - low - 1e-12


def test_a_paired_difference_by_hand():
    """Newcombe's method 10 for 50 pairs, 20 both, 12 ours alone, 2 theirs alone, 16 neither: 0.64 less 0.44."""
    ours = make_answers("P" * 20 + "P" * 12 + "W" * 2 + "W" * 16)
    theirs = make_answers("P" * 20 + "W" * 12 + "P" * 2 + "W" * 16)
    found = paired(ours, theirs, NAMES)
    (l1, u1), (l2, u2) = wilson(32, 50), wilson(22, 50)
    phi = (20 * 16 - 12 * 2) / math.sqrt(32 * 18 * 22 * 28)
    down = math.sqrt((0.64 - l1) ** 2 - 2 * phi * (0.64 - l1) * (u2 - 0.44) + (u2 - 0.44) ** 2)
    up = math.sqrt((u1 - 0.64) ** 2 - 2 * phi * (u1 - 0.64) * (0.44 - l2) + (0.44 - l2) ** 2)
    assert found.tasks == 50
    assert found.difference == pytest.approx(0.20)
    assert (found.interval.low, found.interval.high) == (pytest.approx(0.20 - down), pytest.approx(0.20 + up))
    assert 0.05 < found.interval.low < 0.08
    assert 0.30 < found.interval.high < 0.34


def test_only_tasks_that_both_answered_are_compared():
    found = paired(make_answers("PPF"), make_answers("PFP"), NAMES)
    assert (found.tasks, found.difference) == (1, 0)
    assert paired(make_answers("PF"), make_answers("FP"), NAMES) is None


@given(st.text("PW", min_size=1, max_size=40), st.data())
def test_a_difference_turns_round_with_its_sides(ours, data):
    theirs = data.draw(st.text("PW", min_size=len(ours), max_size=len(ours)))
    one = paired(make_answers(ours), make_answers(theirs), NAMES)
    other = paired(make_answers(theirs), make_answers(ours), NAMES)
    assert one.difference == pytest.approx(-other.difference)
    assert one.interval.low == pytest.approx(-other.interval.high)
    assert -1 <= one.interval.low <= one.difference <= one.interval.high <= 1


def test_dollars_per_solved_task_count_wrong_answers_too():
    """Two answers of 60 fresh, 40 cached and 10 output tokens at $1, $0.1 and $2: $84 per million, one solved."""
    offer = make_offer(make_period(usd("1", "0.1", "2")))
    answers = make_answers("PW", cached_tokens=40)
    price = price_by_offer(answers, offer)
    assert price.usd == 2 * Decimal(60 + 4 + 20) / 1_000_000
    assert price.usd_per_solved == price.usd
    assert price_by_offer(make_answers("WW"), offer).usd_per_solved is None
    assert price_by_offer([*answers, make_answer("x", input_tokens=None)], offer) is None
    assert price_by_offer(make_answers("F"), offer) is None


def test_ours_are_priced_by_a_runs_mix():
    price = price_by_mix(make_answers("PP"), Decimal(2), "run r")
    assert price.usd == Decimal(2) * 220 / 1_000_000
    assert (price.says, price.usd_per_solved) == ("run r", price.usd / 2)


def test_compression_by_hand():
    """10 tokens an answer, half solved, over 40 tokens an answer, all solved: 20 over 40."""
    one, other = make_answers("PW" * 20), make_answers("PP" * 20, output_tokens=40)
    found = compression(one, other, ("a", "b"))
    assert (found.one_per_solved, found.other_per_solved, found.ratio, found.tasks) == (20, 40, 0.5, 40)
    assert found.interval.low < 0.5 < found.interval.high
    assert compression(one, other, ("a", "b")) == found, "the same each time"


def test_more_runs_on_one_side_weigh_no_more():
    one = make_answers("PW") + make_answers("PW", run=1)
    assert compression(one, make_answers("PW"), ("a", "b")).ratio == 1


def test_nothing_solved_or_in_common_has_no_ratio():
    assert compression(make_answers("WW"), make_answers("PP"), ("a", "b")) is None
    assert compression(make_answers("PF"), make_answers("FP"), ("a", "b")) is None
    assert compression(make_answers("PP", output_tokens=None), make_answers("PP"), ("a", "b")) is None
    assert compression(make_answers("PW"), make_answers("PW"), ("a", "b")).interval is None, (
        "a draw may hold none solved"
    )


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=2, max_size=20), st.integers(2, 9))
def test_a_ratio_scales_with_tokens(pairs, times):
    one = [make_answer(f"t{i}", output_tokens=a) for i, (a, _) in enumerate(pairs)]
    longer = [make_answer(f"t{i}", output_tokens=a * times) for i, (a, _) in enumerate(pairs)]
    other = [make_answer(f"t{i}", output_tokens=b) for i, (_, b) in enumerate(pairs)]
    base, scaled = compression(one, other, ("a", "b")), compression(longer, other, ("a", "b"))
    assert scaled.ratio == pytest.approx(base.ratio * times)
    assert base.interval.low <= base.ratio * (1 + 1e-9)
    assert base.interval.high >= base.ratio * (1 - 1e-9)
