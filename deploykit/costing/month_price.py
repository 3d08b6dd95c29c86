"""Requests and an offer -> what the offer asks for a million of their tokens over a whole week, peak hours and all.

An invoice is for the moment of a load test; a month of traffic goes through peak and off-peak hours alike.
"""

import datetime as dt
from decimal import Decimal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice, PricePeriod
from deploykit.costing.bill import api_bill
from deploykit.measuring.measurements import RequestUsage
from deploykit.units import MILLION

_MONDAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
_STEP = dt.timedelta(minutes=15)
_STEPS = 7 * 24 * 4


class MonthPrice(Value):
    """USD per million tokens of one mix, over the hours of a week."""

    offer: str
    title: str
    usd_per_m: Decimal = Field(description="Mean over the week's traffic, at our cache hit rate.")
    usd_per_m_no_hits: Decimal
    off_peak_usd_per_m: Decimal
    peak_usd_per_m: Decimal | None = Field(description="Null: one price at all hours.")
    peak_share: Decimal = Field(description="Share of the week's traffic that falls into peak hours.")
    source: str
    as_of: dt.date


def month_price(
    offer: ApiPrice, usage: tuple[RequestUsage, ...], *, when: dt.date, traffic: tuple[Decimal, ...] | None = None
) -> MonthPrice | None:
    """Return an offer's price at a date, traffic spread by 24 hourly weights (UTC), evenly if there are none.

    None where the offer has no price at that date. Context tiers are those of each request.
    """
    period = offer.period_at(when)
    if period is None:
        return None
    whole = offer.model_copy(update={"periods": (period.model_copy(update={"start": None, "end": None}),)})
    moments = {_is_peak(period, at): at for at in _week()}
    prices = {}
    for peak, at in moments.items():
        bill = api_bill(tuple(request.model_copy(update={"at": at}) for request in usage), whole)
        prices[peak] = tuple(side.total * MILLION / bill.tokens.total for side in (bill.same_hits, bill.no_hits))
    share = _peak_share(period, traffic)
    ordinary, dear = prices.get(False), prices.get(True)
    off = ordinary or dear or (Decimal(0), Decimal(0))
    peak_price = dear or off
    return MonthPrice(
        offer=offer.name,
        title=offer.title,
        usd_per_m=off[0] * (1 - share) + peak_price[0] * share,
        usd_per_m_no_hits=off[1] * (1 - share) + peak_price[1] * share,
        off_peak_usd_per_m=off[0],
        peak_usd_per_m=dear[0] if dear else None,
        peak_share=share,
        source=period.source,
        as_of=period.as_of,
    )


def _week() -> tuple[dt.datetime, ...]:
    return tuple(_MONDAY + step * _STEP for step in range(_STEPS))


def _is_peak(period: PricePeriod, at: dt.datetime) -> bool:
    return any(window.holds(at) for window in period.peak_windows)


def _peak_share(period: PricePeriod, traffic: tuple[Decimal, ...] | None) -> Decimal:
    weights = traffic or (Decimal(1),) * 24
    every = [(weights[at.hour], _is_peak(period, at)) for at in _week()]
    whole = sum((weight for weight, _ in every), Decimal(0))
    return sum((weight for weight, peak in every if peak), Decimal(0)) / whole
