"""Offers, rates and measurements for tests; every field can be changed."""

import datetime as dt
from decimal import Decimal
from typing import Any

from deploykit.catalog.price import ApiPrice, PeakWindow, PricePeriod, UsdPerMillion
from deploykit.catalog.workload import Slo
from deploykit.costing.hourly import HourlyCost
from deploykit.measuring.measurements import (
    Measurements,
    Quantiles,
    Reconciliation,
    RequestUsage,
    StageMeasurement,
    TokenCounts,
)

MONDAY_NIGHT = dt.datetime(2026, 11, 23, 22, 0, tzinfo=dt.UTC)
"""Outside every peak window of `make_offer(peak=...)`."""

MONDAY_PEAK = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)


def usd(fresh: str, cached: str | None, output: str) -> UsdPerMillion:
    return UsdPerMillion(
        input=Decimal(fresh), cached_input=None if cached is None else Decimal(cached), output=Decimal(output)
    )


def make_period(prices: UsdPerMillion | None = None, **changes: Any) -> PricePeriod:
    facts = {"source": "provider.example/pricing", "as_of": dt.date(2026, 11, 20), "start": None}
    return PricePeriod(**{**facts, "usd_per_m": prices or usd("0.15", "0.003", "0.60"), **changes})


def make_peak_period(**changes: Any) -> PricePeriod:
    """Weekdays 01:00-04:00 and 06:00-10:00 UTC at twice the price."""
    days = ("mon", "tue", "wed", "thu", "fri")
    windows = (
        PeakWindow(days=days, start=dt.time(1), end=dt.time(4)),
        PeakWindow(days=days, start=dt.time(6), end=dt.time(10)),
    )
    return make_period(peak_windows=windows, peak_usd_per_m=usd("0.30", "0.006", "1.20"), **changes)


def make_offer(*periods: PricePeriod, **changes: Any) -> ApiPrice:
    facts = {
        "name": "acme-mixtress",
        "title": "Mixtress at Acme",
        "provider": "Acme",
        "api_model": "mixtress",
        "serves": "mixtress",
    }
    return ApiPrice(**{**facts, "periods": periods or (make_period(),), **changes})


def make_hourly(usd_per_hour: str = "16", **changes: Any) -> HourlyCost:
    facts = {
        "nodes": 1,
        "rate": "rentacloud",
        "provider": "Rentacloud",
        "kind": "on-demand",
        "source": "rentacloud.example/prices",
        "as_of": dt.date(2026, 11, 1),
    }
    return HourlyCost(usd_per_hour=Decimal(usd_per_hour), **{**facts, **changes})


def make_request(
    fresh: int = 3200, cached: int | None = 4800, output: int = 1000, at: dt.datetime = MONDAY_NIGHT
) -> RequestUsage:
    """One request of `fresh` + `cached` input tokens."""
    return RequestUsage(at=at, input_tokens=fresh + (cached or 0), cached_tokens=cached, output_tokens=output)


def make_quantiles(p50: float, *, count: int = 1000, spread: float = 3.0) -> Quantiles:
    return Quantiles(
        count=count,
        mean=p50 * 1.1,
        p50=p50,
        p90=p50 * (1 + spread) / 2,
        p95=p50 * spread * 0.8,
        p99=p50 * spread,
        max=p50 * spread * 1.5,
    )


def make_stage(usage: tuple[RequestUsage, ...], *, window_s: float = 360.0, **changes: Any) -> StageMeasurement:
    tokens = TokenCounts(
        input=sum(u.input_tokens for u in usage),
        cached_input=sum(u.cached_tokens or 0 for u in usage),
        output=sum(u.output_tokens for u in usage),
    )
    facts = {
        "stage": 0,
        "describes": "64 users, closed loop",
        "window_start_s": 30.0,
        "window_end_s": 30.0 + window_s,
        "requests": len(usage),
        "good_requests": len(usage),
        "failures": {},
        "tokens": tokens,
        "output_tokens_per_s": tokens.output / window_s,
        "total_tokens_per_s": tokens.total / window_s,
        "requests_per_s": len(usage) / window_s,
        "ttft": make_quantiles(0.420),
        "tpot": make_quantiles(0.0195, spread=1.6),
        "itl": make_quantiles(0.019),
        "e2e": make_quantiles(19.9, spread=2.0),
        "send_lag": make_quantiles(0.0004),
        "slo_met": True,
        "coalesced_share": 0.01,
    }
    return StageMeasurement(**{**facts, **changes})


def make_measurements(
    usage: tuple[RequestUsage, ...] | None = None, stage: dict[str, Any] | None = None, **changes: Any
) -> Measurements:
    """1,000 requests of 3,200 fresh, 4,800 cached and 1,000 output tokens in 360 seconds, unless told otherwise."""
    usage = (make_request(),) * 1000 if usage is None else usage
    priced = make_stage(usage, **(stage or {}))
    facts = {
        "workload": "chat",
        "slo": Slo(ttft_s=2, tpot_s=0.05),
        "stages": (priced,),
        "priced_stage": 0,
        "usage": usage,
        "reconciliation": Reconciliation(client=priced.tokens, engine=priced.tokens, difference=0.0),
        "verdict": "VALID",
    }
    return Measurements(**{**facts, **changes})
