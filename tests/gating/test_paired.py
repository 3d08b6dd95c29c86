"""The arithmetic of pairs: by hand, against scipy, and by simulation."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from deploykit.gating.paired import (
    ALPHA,
    chance_of,
    effect_of,
    equivalent,
    holm,
    noise_floor,
    pairs_to_decide,
)
from deploykit.measuring.intervals import t_cdf

VALUES = st.lists(st.floats(-1, 1).map(lambda value: round(value, 6)), min_size=2, max_size=12)


def test_three_pairs_by_hand():
    """Effects 2, 3 and 4 %: mean 3 %, spread 1 %, error 1 % / sqrt 3; t of 2 degrees at 97.5 % is 4.302653."""
    effect = effect_of([0.02, 0.03, 0.04])
    assert effect.worse == pytest.approx(0.03)
    assert effect.spread == pytest.approx(0.01)
    half = 4.302653 * 0.01 / math.sqrt(3)
    assert (effect.low, effect.high) == (pytest.approx(0.03 - half, abs=1e-8), pytest.approx(0.03 + half, abs=1e-8))
    # against a margin of 1 %: t = (3 - 1) / 0.57735 = 3.4641 with 2 degrees, p = 0.0371 (tables: between 0.05 and 0.025)
    assert chance_of(effect, 0.01)[0] == pytest.approx(0.0371, abs=5e-5)


@given(VALUES)
def test_the_interval_is_scipys(values):
    effect = effect_of(values)
    if effect.spread < 1e-9:
        return
    low, high = stats.t.interval(0.95, len(values) - 1, loc=effect.worse, scale=effect.error)
    assert (effect.low, effect.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    worse = stats.ttest_1samp(values, 0.1, alternative="greater").pvalue
    assert chance_of(effect, 0.1)[0] == pytest.approx(worse, abs=1e-6)


@given(VALUES, st.floats(0.001, 0.5))
def test_turning_the_arms_around_turns_the_verdict_around(values, margin):
    one, other = effect_of(values), effect_of([-value for value in values])
    assert other.worse == pytest.approx(-one.worse)
    assert chance_of(other, margin) == pytest.approx(chance_of(one, margin)[::-1], abs=1e-9)
    assert equivalent(one, margin) == equivalent(other, margin)


@given(VALUES, st.floats(0, 1))
def test_a_noise_floor_never_narrows(values, floor):
    plain, floored = effect_of(values), effect_of(values, floor=floor)
    assert floored.low <= plain.low
    assert floored.high >= plain.high
    assert floored.own_spread == plain.own_spread


@given(st.floats(-30, 30), st.integers(1, 40))
def test_t_has_both_sides(t, freedom):
    assert t_cdf(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-9)


def test_one_pair_has_no_interval():
    assert effect_of([0.1]) is None
    assert noise_floor([0.1]) is None


def test_the_floor_is_around_nothing():
    """Two A/A pairs of +2 % each did not agree by being 2 % apart: their truth is 0."""
    assert noise_floor([0.02, 0.02]) == pytest.approx(0.02)
    assert noise_floor([0.03, -0.04]) == pytest.approx(math.sqrt((9 + 16) / 2) / 100)


def test_no_spread_at_all_is_decided():
    effect = effect_of([0.0, 0.0, 0.0])
    assert equivalent(effect, 0.01)
    assert chance_of(effect, 0.01) == (1.0, 1.0)
    assert chance_of(effect_of([0.5, 0.5]), 0.01) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("chances", "rejected"),
    [
        ([0.004, 0.006, 0.5], (True, True, False)),  # 0.025 / 3 = 0.0083, then 0.025 / 2 = 0.0125
        ([0.010, 0.001, 0.020], (True, True, True)),  # 0.001 <= 0.0083, 0.010 <= 0.0125, 0.020 <= 0.025
        ([0.009, 0.009, 0.001], (True, True, True)),
        ([0.013, 0.014, 0.001], (False, False, True)),
        ([0.009, 0.009], (True, True)),
        ([0.02, 0.02], (False, False)),
        ([], ()),
    ],
)
def test_holm_by_hand(chances, rejected):
    assert holm(chances) == rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_lies_between_bonferroni_and_none(chances):
    for chance, rejected in zip(chances, holm(chances), strict=True):
        assert rejected or chance > ALPHA / len(chances)
        assert not rejected or chance <= ALPHA


def test_pairs_to_decide_do_decide():
    effect = effect_of([0.004, 0.03, -0.01])
    margin = math.log1p(0.03)
    assert not equivalent(effect, margin)
    more = pairs_to_decide(effect, margin, tests=5)
    n = effect.pairs + more
    assert abs(effect.worse) + stats.t.ppf(0.975, n - 1) * effect.spread / math.sqrt(n) < margin
    assert abs(effect.worse) + stats.t.ppf(0.975, n - 2) * effect.spread / math.sqrt(n - 1) > margin


def test_what_lies_on_the_margin_is_never_decided():
    assert pairs_to_decide(effect_of([0.02, 0.03, 0.04]), 0.03, tests=5) is None


def shares(truth, *, pairs, spread, margin, runs=3000):
    """How often pairs of a known truth are called worse, the same, or neither."""
    draw = random.Random(20261201)  # noqa: S311 - a simulation
    worse = same = 0
    for _ in range(runs):
        effect = effect_of([draw.gauss(truth, spread) for _ in range(pairs)])
        worse += chance_of(effect, margin)[0] <= ALPHA
        same += equivalent(effect, margin)
    return worse / runs, same / runs


@pytest.mark.parametrize("pairs", [3, 4, 6])
def test_false_alarms_are_as_rare_as_promised(pairs):
    """At the margin itself, the worst case, 2.5 % are called worse; without a change next to none."""
    at_margin, _ = shares(0.03, pairs=pairs, spread=0.01, margin=0.03)
    assert 0.015 < at_margin < 0.035
    unchanged, _ = shares(0.0, pairs=pairs, spread=0.02, margin=0.03)
    assert unchanged < 0.005


@pytest.mark.parametrize("pairs", [3, 4, 6])
def test_a_change_at_the_margin_is_rarely_called_the_same(pairs):
    _, same = shares(0.03, pairs=pairs, spread=0.01, margin=0.03)
    assert same < 0.035


def test_power_grows_with_pairs():
    """A loss of 10 % with 2 % of noise: three pairs mostly see it, six always."""
    few, many = (shares(0.10, pairs=pairs, spread=0.02, margin=0.03)[0] for pairs in (3, 6))
    assert 0.5 < few < many
    assert many > 0.99
    assert shares(0.0, pairs=6, spread=0.01, margin=0.03)[1] > 0.95
