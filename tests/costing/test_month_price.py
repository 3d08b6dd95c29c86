import datetime as dt
from decimal import Decimal

import pytest

from deploykit.costing.month_price import month_price
from tests.costing.builders import (
    MONDAY_NIGHT,
    MONDAY_PEAK,
    make_offer,
    make_peak_period,
    make_period,
    make_request,
    usd,
)

DAY = MONDAY_NIGHT.date()
USAGE = (make_request(fresh=8000, cached=0, output=1000),)


@pytest.mark.parametrize("at", [MONDAY_NIGHT, MONDAY_PEAK])
def test_a_month_has_peak_and_off_peak_hours_whenever_the_load_test_was(at):
    usage = tuple(request.model_copy(update={"at": at}) for request in USAGE)
    found = month_price(make_offer(make_peak_period()), usage, when=DAY)
    # Seven hours on five days of seven: 35 of 168 hours at 0.40, the rest at 0.20.
    assert found.peak_share == Decimal(35) / 168
    assert (found.off_peak_usd_per_m, found.peak_usd_per_m) == (Decimal("0.2"), Decimal("0.4"))
    assert round(found.usd_per_m, 6) == round(Decimal("0.2") * (168 + 35) / 168, 6)


def test_traffic_that_sleeps_in_peak_hours_pays_none():
    weights = tuple(Decimal(12 <= hour < 20) for hour in range(24))
    found = month_price(make_offer(make_peak_period()), USAGE, when=DAY, traffic=weights)
    assert (found.peak_share, found.usd_per_m) == (0, Decimal("0.2"))


def test_one_price_at_all_hours_is_that_price():
    found = month_price(make_offer(), USAGE, when=DAY)
    assert (found.usd_per_m, found.peak_usd_per_m, found.peak_share) == (Decimal("0.2"), None, 0)


def test_cache_hits_are_priced_and_so_is_their_absence():
    found = month_price(make_offer(), (make_request(),), when=DAY)
    assert round(found.usd_per_m, 4) == Decimal("0.1216")
    assert found.usd_per_m_no_hits == Decimal("0.2")


def test_context_tiers_are_those_of_the_requests():
    from deploykit.catalog.price import ContextTier

    tiers = (ContextTier(above_input_tokens=4000, usd_per_m=usd("1", "1", "1")),)
    assert month_price(make_offer(make_period(tiers=tiers)), USAGE, when=DAY).usd_per_m == 1


def test_an_offer_that_has_ended_has_no_price():
    ended = make_offer(make_period(end=dt.date(2026, 9, 10)))
    assert month_price(ended, USAGE, when=DAY) is None
    assert month_price(ended, USAGE, when=dt.date(2026, 9, 10)) is not None
