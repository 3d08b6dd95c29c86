"""The meter's arithmetic: tokens are neither lost nor made, dollars add up, and what is not known is not there."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.costing.bill import KindTokens
from deploykit.costing.meter_figures import figures
from deploykit.costing.metering import KEPT_MS, MeterState, observe
from deploykit.measuring.samples import EngineCounters
from tests.costing.builders import make_offer, make_peak_period, make_period, usd

NOON = round(dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC).timestamp() * 1000)
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
PRICE = Decimal(3)


def read(prompt: int | None, output: int | None, cached: int | None = 0) -> EngineCounters:
    return EngineCounters(
        at=dt.datetime(2026, 11, 23, tzinfo=dt.UTC), prompt_tokens=prompt, cached_tokens=cached, output_tokens=output,
        requests_finished=0, preemptions=0,
    )  # fmt: skip


def watch(*looks, state=None, usd_per_hour=PRICE, offers=()):
    """Observe `(seconds after noon, {engine: counters})` one after the other."""
    state = state or MeterState()
    for seconds, readings in looks:
        state = observe(
            state, readings, now_ms=NOON + round(seconds * SECOND), usd_per_hour=usd_per_hour, offers=offers
        )
    return state


def window(state, name="5m", engines=("a",), usd_per_hour=PRICE, capacity=None, offers=()):
    shown = figures(
        state,
        dict.fromkeys(engines, True),
        usd_per_hour=usd_per_hour,
        capacity_tokens_per_s=capacity,
        offers=offers,
    )
    return next((w for w in shown.windows if w.window == name), None)


def test_an_hour_by_hand():
    """One look a minute; 60 fresh, 30 cached and 10 output tokens in each: $3 for 6,000 tokens is $500 per million."""
    state = watch(*((m * 60, {"a": read(90 * m, 10 * m, 30 * m)}) for m in range(61)))
    hour = window(state, "1h", capacity=Decimal(4))
    assert (hour.covered_s, hour.known_share) == (3600, 1)
    assert (hour.fresh_input, hour.cached_input, hour.output) == (3600, 1800, 600)
    assert hour.usd == 3
    assert hour.usd_per_m == 500
    assert hour.tokens_per_s == Decimal(6000) / 3600
    assert hour.utilisation == Decimal(6000) / 3600 / 4
    assert state.node_usd == 3
    five = window(state, "5m")
    assert (five.covered_s, five.fresh_input, five.usd) == (300, 300, Decimal("0.25"))


def test_a_window_covers_no_more_than_was_watched():
    state = watch((0, {"a": read(0, 0)}), (60, {"a": read(600, 60)}), (90, {"a": read(900, 90)}))
    day = window(state, "24h")
    assert day.covered_s == 90
    assert day.usd == PRICE * 90 / 3600
    assert day.fresh_input + day.output == 990


def test_the_first_look_tells_nothing_and_shows_nothing():
    state = watch((0, {"a": read(1_000_000, 50_000)}))
    assert state.tokens.total == 0
    assert window(state, "24h") is None


def test_idle_time_is_paid_and_has_no_price_per_token():
    state = watch((0, {"a": read(5, 5)}), (60, {"a": read(5, 5)}))
    idle = window(state)
    assert idle.usd == PRICE / 60
    assert idle.usd_per_m is None


def test_a_reset_counts_what_came_since_and_the_time_is_not_known():
    state = watch((0, {"a": read(900, 90)}), (60, {"a": read(100, 7)}), (120, {"a": read(200, 14)}))
    assert state.tokens == KindTokens(fresh_input=200, cached_input=0, output=14)
    assert state.engines["a"].resets == 1
    assert window(state).known_share == Decimal(60) / 120


def test_an_engine_that_was_away_is_known_again_when_it_answers():
    looks = [(0, {"a": read(0, 0), "b": read(0, 0)}), (60, {"a": read(60, 0), "b": read(60, 0)})]
    away = watch(*looks, (120, {"a": read(120, 0), "b": None}), (180, {"a": read(180, 0), "b": None}))
    while_away = window(away, engines=("a", "b"))
    assert while_away.fresh_input == 180 + 60
    assert while_away.known_share == Decimal(240) / 360
    assert while_away.usd == PRICE * 180 / 3600, "its node is paid"
    back = watch((240, {"a": read(240, 0), "b": read(240, 0)}), state=away)
    assert window(back, engines=("a", "b")).known_share == 1
    assert [span.tokens.fresh_input for span in back.spans[:4]] == [120] * 4, "spread over the minutes it was away"


def test_every_engine_away_is_not_zero_tokens():
    state = watch((0, {"a": read(0, 0)}), *((60 * m, {"a": None}) for m in range(1, 8)))
    assert window(state) is None


def test_an_engine_without_the_counters_is_away():
    state = watch((0, {"a": read(None, 5)}), (60, {"a": read(None, 9)}))
    assert state.tokens.total == 0
    assert state.engines == {}


def test_a_pause_is_covered_only_if_the_counters_reach_over_it():
    before = watch((0, {"a": read(0, 0)}), (60, {"a": read(60, 0)}))
    kept_on = watch((60 + 7200, {"a": read(7260, 0)}), state=before)
    assert kept_on.watched_ms == 7260 * SECOND
    assert window(kept_on, "24h").fresh_input == 7260
    began_anew = watch((60 + 7200, {"a": read(5, 0)}), state=before)
    assert began_anew.watched_ms == 60 * SECOND
    assert began_anew.node_usd == PRICE / 60


def test_a_clock_that_was_set_back_adds_tokens_and_no_time():
    state = watch((0, {"a": read(0, 0)}), (60, {"a": read(60, 0)}), (30, {"a": read(90, 0)}), (60, {"a": read(120, 0)}))
    assert state.tokens.fresh_input == 120
    assert state.watched_ms == 90 * SECOND


def test_unknown_cached_input_is_fresh_and_a_counter_that_appears_is_not_taken_whole():
    state = watch((0, {"a": read(0, 0, None)}), (60, {"a": read(100, 0, None)}), (120, {"a": read(200, 0, 80)}))
    assert state.tokens == KindTokens(fresh_input=200, cached_input=0, output=0)


def test_the_apis_invoice_follows_the_hour():
    """Mondays 06:00 to 10:00 UTC cost twice: one minute before and one after 10:00, 100 fresh and 10 output each."""
    offer = make_offer(make_peak_period())
    ten = -2 * 3600
    looks = [(ten - 60, {"a": read(0, 0)}), (ten, {"a": read(100, 10)}), (ten + 60, {"a": read(200, 20)})]
    state = watch(*looks, offers=(offer,))
    off_peak = (100 * Decimal("0.15") + 10 * Decimal("0.60")) / 1_000_000
    assert state.api_usd["acme-mixtress"].same_hits == 3 * off_peak
    shown = window(state, offers=(offer,)).offers[0]
    assert shown.usd_per_hour_same_hits == 3 * off_peak * 30
    assert shown.usd_per_m_same_hits == 3 * off_peak / 220 * 1_000_000
    assert shown.break_even_factor == PRICE / (3 * off_peak * 30)
    assert shown.distance_usd_per_hour == 3 * off_peak * 30 - PRICE


def test_no_hits_cost_as_fresh_input():
    offer = make_offer(make_period(usd("1", "0.1", "2")))
    state = watch((0, {"a": read(0, 0, 0)}), (60, {"a": read(100, 10, 90)}), offers=(offer,))
    spent = state.api_usd["acme-mixtress"]
    assert spent.same_hits == (Decimal(10) + 9 + 20) / 1_000_000
    assert spent.no_hits == Decimal(100 + 20) / 1_000_000


def test_an_offer_without_a_price_then_is_not_there():
    offer = make_offer(make_period(start=dt.date(2027, 1, 1)))
    state = watch((0, {"a": read(0, 0)}), (60, {"a": read(100, 10)}), offers=(offer,))
    assert state.api_usd == {}
    assert window(state, offers=(offer,)).offers == ()


def test_without_an_hourly_price_there_are_tokens_and_no_dollars():
    offer = make_offer()
    state = watch((0, {"a": read(0, 0)}), (60, {"a": read(100, 10)}), usd_per_hour=None, offers=(offer,))
    shown = window(state, usd_per_hour=None, offers=(offer,))
    assert (shown.usd, shown.usd_per_m, shown.utilisation) == (None, None, None)
    assert (shown.offers[0].break_even_factor, shown.offers[0].distance_usd_per_hour) == (None, None)
    assert shown.offers[0].usd_per_hour_same_hits > 0


looks = st.lists(
    st.tuples(
        st.integers(1, 20 * 60),
        st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.one_of(st.none(), st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 500))),
            max_size=2,
        ),
    ),
    max_size=30,
)


@given(looks)
def test_tokens_are_neither_lost_nor_made(steps):
    """Whatever is away and for how long: what spans hold is what the counters rose by since each engine was first seen."""
    state, at, counters, first, last = MeterState(), 0, {}, {}, {}
    for seconds, changes in steps:
        at += seconds
        readings = {"a": None, "b": None}
        for engine, rise in changes.items():
            if rise is None:
                continue
            prompt, cached, output = counters.get(engine, (0, 0, 0))
            counters[engine] = (prompt + rise[0] + rise[1], cached + rise[1], output + rise[2])
            readings[engine] = read(counters[engine][0], counters[engine][2], counters[engine][1])
            first.setdefault(engine, counters[engine])
            last[engine] = counters[engine]
        state = watch((at, readings), state=state)
    rose = [sum(last[e][i] - first[e][i] for e in last) for i in range(3)]
    held = state.tokens
    assert (held.fresh_input + held.cached_input, held.cached_input, held.output) == tuple(rose)
    if at * SECOND < KEPT_MS - HOUR:
        kinds = [sum(getattr(s.tokens, k) for s in state.spans) for k in ("fresh_input", "cached_input", "output")]
        assert kinds == [held.fresh_input, held.cached_input, held.output]
        assert sum(span.watched_ms for span in state.spans) == state.watched_ms
    assert all(span.known_ms <= 2 * span.length_ms and span.watched_ms <= span.length_ms for span in state.spans)
    assert len(state.spans) < 400


@given(looks, st.decimals("0.01", "1000", places=2), st.integers(2, 50))
def test_dollars_grow_with_the_price_and_have_no_currency(steps, price, times):
    state, at, total = MeterState(), 0, 0
    for seconds, changes in steps:
        at, total = at + seconds, total + sum(sum(rise) for rise in changes.values() if rise)
        state = watch((at, {"a": read(total, total)}), state=state)
    one, other = window(state, "24h", usd_per_hour=price), window(state, "24h", usd_per_hour=price * times)
    if one is not None and one.usd_per_m is not None:
        assert other.usd_per_m == pytest.approx(one.usd_per_m * times)
        tokens = one.fresh_input + one.cached_input + one.output
        assert one.usd_per_m * tokens / 1_000_000 == pytest.approx(one.usd)
