"""Invoices: sums worked by hand, and what must hold for all of them."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploykit.catalog.price import ContextTier, UsdPerMillion
from deploykit.costing.bill import api_bill, kinds, node_bill, price_list
from deploykit.errors import ComparisonError
from tests.costing.builders import (
    MONDAY_NIGHT,
    MONDAY_PEAK,
    make_offer,
    make_peak_period,
    make_period,
    make_request,
    usd,
)

TIERED = make_offer(
    make_period(
        usd("2.5", "0.25", "15"),
        tiers=(
            ContextTier(above_input_tokens=272_000, usd_per_m=usd("5", "0.5", "22.5")),
            ContextTier(above_input_tokens=500_000, usd_per_m=usd("6", "0.6", "30")),
        ),
    )
)
PEAKED = make_offer(make_peak_period())

prices = st.builds(
    UsdPerMillion,
    input=st.decimals(0, 100, places=4),
    cached_input=st.none() | st.decimals(0, 100, places=4),
    output=st.decimals(0, 100, places=4),
)
moments = st.datetimes(
    dt.datetime(2026, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
    dt.datetime(2027, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
    timezones=st.just(dt.UTC) | st.just(dt.timezone(dt.timedelta(hours=8))),
)
requests = st.builds(
    make_request,
    fresh=st.integers(0, 600_000),
    cached=st.none() | st.integers(0, 600_000),
    output=st.integers(0, 100_000),
    at=moments,
)
usages = st.lists(requests, min_size=1, max_size=8).map(tuple)


def test_a_request_is_priced_by_kind() -> None:
    # 3,200 x $0.15/M = $0.00048; 4,800 x $0.003/M = $0.0000144; 1,000 x $0.60/M = $0.0006.
    bill = api_bill((make_request(),), make_offer())
    assert bill.same_hits.fresh_input == Decimal("0.00048")
    assert bill.same_hits.cached_input == Decimal("0.0000144")
    assert bill.same_hits.output == Decimal("0.0006")
    assert bill.same_hits.total == Decimal("0.0010944")
    # No hits: 8,000 x $0.15/M = $0.0012, and the output as before.
    assert bill.no_hits.total == Decimal("0.0018")
    # 0.0010944 / 9,000 tokens = $0.1216/M: the worked example of a 60 % hit rate.
    assert bill.same_hits.total * 1_000_000 / bill.tokens.total == Decimal("0.1216")


def test_cached_input_without_a_price_is_input() -> None:
    bill = api_bill((make_request(),), make_offer(make_period(usd("0.15", None, "0.60"))))
    assert bill.same_hits.total == bill.no_hits.total == Decimal("0.0018")
    assert not bill.has_cached_price


def test_unknown_cached_tokens_are_fresh() -> None:
    bill = api_bill((make_request(fresh=8000, cached=None),), make_offer())
    assert bill.tokens.cached_input == 0
    assert bill.same_hits == bill.no_hits


def test_peak_hours_price_only_their_own_requests() -> None:
    bill = api_bill(
        (make_request(at=MONDAY_NIGHT), make_request(at=MONDAY_PEAK), make_request(at=MONDAY_NIGHT)), PEAKED
    )
    assert bill.same_hits.total == 4 * Decimal("0.0010944")  # 1 + 2 + 1
    assert [(use.price_list.hours, use.requests) for use in bill.lists] == [("off-peak", 2), ("peak", 1)]


@pytest.mark.parametrize(
    ("day", "hour", "minute", "hours"),
    [
        (23, 0, 59, "off-peak"),
        (23, 1, 0, "peak"),
        (23, 3, 59, "peak"),
        (23, 4, 0, "off-peak"),
        (23, 9, 59, "peak"),
        (23, 10, 0, "off-peak"),
        (22, 2, 0, "off-peak"),  # a Sunday
    ],
)
def test_peak_windows_begin_and_end_on_the_minute(day: int, hour: int, minute: int, hours: str) -> None:
    at = dt.datetime(2026, 11, day, hour, minute, tzinfo=dt.UTC)
    assert price_list(PEAKED, at=at, input_tokens=1).hours == hours


def test_a_moment_in_another_zone_is_taken_as_utc() -> None:
    shanghai = dt.timezone(dt.timedelta(hours=8))
    at = dt.datetime(2026, 11, 23, 10, 0, tzinfo=shanghai)  # 02:00 UTC
    assert price_list(PEAKED, at=at, input_tokens=1).hours == "peak"


@pytest.mark.parametrize(
    ("input_tokens", "limit", "output"),
    [(272_000, None, "15"), (272_001, 272_000, "22.5"), (500_000, 272_000, "22.5"), (500_001, 500_000, "30")],
)
def test_a_context_tier_starts_above_its_limit(input_tokens: int, limit: int | None, output: str) -> None:
    chosen = price_list(TIERED, at=MONDAY_NIGHT, input_tokens=input_tokens)
    assert (chosen.above_input_tokens, chosen.usd_per_m.output) == (limit, Decimal(output))


def test_a_period_change_at_midnight_splits_the_invoice() -> None:
    offer = make_offer(
        make_period(usd("1", None, "1"), end=dt.date(2026, 11, 23)),
        make_period(usd("3", None, "3"), start=dt.date(2026, 11, 24)),
    )
    before = make_request(1_000_000, 0, 0, dt.datetime(2026, 11, 23, 23, 59, tzinfo=dt.UTC))
    after = make_request(1_000_000, 0, 0, dt.datetime(2026, 11, 24, 0, 0, tzinfo=dt.UTC))
    assert api_bill((before, after), offer).same_hits.total == 4


def test_after_its_end_an_offer_is_retired_and_has_its_last_price() -> None:
    offer = make_offer(
        make_period(usd("9", None, "9"), end=dt.date(2026, 8, 16)),
        make_period(usd("1", None, "1"), start=dt.date(2026, 8, 17), end=dt.date(2026, 9, 10)),
    )
    bill = api_bill((make_request(500_000, 0, 500_000),), offer)
    assert bill.retired
    assert bill.same_hits.total == 1
    assert bill.lists[0].price_list.period_end == dt.date(2026, 9, 10)


def test_before_its_start_an_offer_has_no_price() -> None:
    with pytest.raises(ComparisonError, match="no price for 2026-11-23") as error:
        api_bill((make_request(),), make_offer(make_period(start=dt.date(2026, 12, 1))))
    assert error.value.hint is not None


def test_no_request_no_bill() -> None:
    with pytest.raises(ComparisonError, match="no request"):
        api_bill((), make_offer())


def test_more_cached_than_input_is_all_cached() -> None:
    odd = make_request().model_copy(update={"cached_tokens": 9000})
    assert (kinds(odd).fresh_input, kinds(odd).cached_input) == (0, 8000)


def test_node_hours() -> None:
    # 2 nodes at $18 for 100 s: 2 x 18 x 100 / 3600 = $1.
    bill = node_bill(100.0, usd_per_hour=Decimal(18), nodes=2)
    assert (bill.usd_per_hour, bill.usd) == (36, 1)


@settings(deadline=None)  # the machine may be busy with other tests
@given(usages, usages, prices)
def test_bills_add_up(one: tuple, other: tuple, list_price: UsdPerMillion) -> None:
    offer = make_offer(make_period(list_price))
    both, first, second = api_bill(one + other, offer), api_bill(one, offer), api_bill(other, offer)
    assert both.same_hits == first.same_hits.plus(second.same_hits)
    assert both.no_hits == first.no_hits.plus(second.no_hits)


@settings(deadline=None)  # the machine may be busy with other tests
@given(usages, prices, st.integers(1, 50))
def test_a_bill_is_scale_free_in_currency(usage: tuple, list_price: UsdPerMillion, scale: int) -> None:
    scaled = UsdPerMillion(
        input=list_price.input * scale,
        cached_input=None if list_price.cached_input is None else list_price.cached_input * scale,
        output=list_price.output * scale,
    )
    plain, larger = (
        api_bill(usage, make_offer(make_period(list_price))),
        api_bill(usage, make_offer(make_period(scaled))),
    )
    assert larger.same_hits.total == plain.same_hits.total * scale


@settings(deadline=None)  # the machine may be busy with other tests
@given(usages, prices)
def test_hits_never_cost_more_where_cached_input_is_cheaper(usage: tuple, list_price: UsdPerMillion) -> None:
    cheaper = list_price.cached_input is None or list_price.cached_input <= list_price.input
    bill = api_bill(usage, make_offer(make_period(list_price)))
    assert (bill.same_hits.total <= bill.no_hits.total) or not cheaper


@settings(deadline=None)  # the machine may be busy with other tests
@given(usages)
def test_every_request_is_priced_by_exactly_one_list(usage: tuple) -> None:
    for offer in (TIERED, PEAKED):
        bill = api_bill(usage, offer)
        assert sum(use.requests for use in bill.lists) == len(usage)
        assert bill.tokens.total == sum(u.input_tokens + u.output_tokens for u in usage)


@settings(deadline=None)  # the machine may be busy with other tests
@given(moments, st.integers(0, 1_000_000))
def test_a_list_is_peak_exactly_inside_a_window(at: dt.datetime, input_tokens: int) -> None:
    utc = at.astimezone(dt.UTC)
    inside = utc.weekday() < 5 and (1 <= utc.hour < 4 or 6 <= utc.hour < 10)
    assert (price_list(PEAKED, at=at, input_tokens=input_tokens).hours == "peak") == inside
