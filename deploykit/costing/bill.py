"""What each request used, and a price list -> the API's invoice; seconds and an hourly rate -> the node's."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice, PricePeriod, UsdPerMillion
from deploykit.errors import ComparisonError
from deploykit.measuring.measurements import RequestUsage
from deploykit.units import MILLION

SECONDS_PER_HOUR = 3600
_NOTHING = Decimal(0)


class PriceList(Value):
    """The one price list that holds for a request: a period, hours of the day, a context tier."""

    period_start: dt.date | None
    period_end: dt.date | None
    hours: Literal["all hours", "off-peak", "peak"]
    above_input_tokens: int | None = Field(description="The context tier's limit; null is the ordinary list.")
    usd_per_m: UsdPerMillion
    retired: bool = Field(description="The period had ended when the request was made.")
    source: str
    as_of: dt.date


class ListUse(Value):
    """How many requests a price list priced."""

    price_list: PriceList
    requests: int


class KindUsd(Value):
    """An invoice by kind of token, in USD."""

    fresh_input: Decimal = _NOTHING
    cached_input: Decimal = _NOTHING
    output: Decimal = _NOTHING

    @property
    def total(self) -> Decimal:
        """The invoice."""
        return self.fresh_input + self.cached_input + self.output

    def plus(self, other: "KindUsd") -> "KindUsd":
        """Return both invoices together."""
        return KindUsd(
            fresh_input=self.fresh_input + other.fresh_input,
            cached_input=self.cached_input + other.cached_input,
            output=self.output + other.output,
        )


class KindTokens(Value):
    """Tokens by the kinds that are priced apart."""

    fresh_input: int = Field(ge=0)
    cached_input: int = Field(ge=0)
    output: int = Field(ge=0)

    @property
    def total(self) -> int:
        """All tokens."""
        return self.fresh_input + self.cached_input + self.output


class ApiBill(Value):
    """What an offer would have charged for the requests, twice: the API's own cache hit rate is not known."""

    offer: str
    requests: int
    tokens: KindTokens
    same_hits: KindUsd = Field(description="As if the API's cache had hit where ours did.")
    no_hits: KindUsd = Field(description="As if it had never hit.")
    lists: tuple[ListUse, ...] = Field(description="The price lists that were used, the most used first.")

    @property
    def retired(self) -> bool:
        """Whether a request was priced by a list that had ended."""
        return any(use.price_list.retired for use in self.lists)

    @property
    def has_cached_price(self) -> bool:
        """Whether every list that was used has a price of its own for cached input."""
        return all(use.price_list.usd_per_m.cached_input is not None for use in self.lists)

    @property
    def as_of(self) -> dt.date:
        """The date of the oldest list that was used."""
        return min(use.price_list.as_of for use in self.lists)


class NodeBill(Value):
    """What the hardware cost while it was measured."""

    seconds: Decimal
    usd_per_hour: Decimal = Field(description="Of all nodes together.")
    usd: Decimal


def kinds(usage: RequestUsage) -> KindTokens:
    """Return a request's tokens by kind; cached input is never more than the input, and nothing if it is unknown."""
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    return KindTokens(fresh_input=usage.input_tokens - cached, cached_input=cached, output=usage.output_tokens)


def price_list(offer: ApiPrice, *, at: dt.datetime, input_tokens: int) -> PriceList:
    """Return the one list that prices a request; after the offer's end it is the last one there was.

    A context tier prices the whole request, at any hour: no offer states a peak price for its tiers.
    """
    moment = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    period = offer.period_at(moment.date())
    retired = period is None
    if period is None:
        period = _last_before(offer, moment.date())
    hours: Literal["all hours", "off-peak", "peak"] = "all hours"
    above, prices = None, period.usd_per_m
    if period.peak_usd_per_m is not None:
        peak = any(window.holds(moment) for window in period.peak_windows)
        hours = "peak" if peak else "off-peak"
        prices = period.peak_usd_per_m if peak else prices
    passed = [tier for tier in period.tiers if input_tokens > tier.above_input_tokens]
    if passed:
        tier = max(passed, key=lambda t: t.above_input_tokens)
        hours, above, prices = "all hours", tier.above_input_tokens, tier.usd_per_m
    return PriceList(
        period_start=period.start,
        period_end=period.end,
        hours=hours,
        above_input_tokens=above,
        usd_per_m=prices,
        retired=retired or offer.status == "retired",
        source=period.source,
        as_of=period.as_of,
    )


def _last_before(offer: ApiPrice, day: dt.date) -> PricePeriod:
    ended = [p for p in offer.periods if p.end is not None and p.end < day]
    if not ended:
        raise ComparisonError(
            f"the offer `{offer.name}` has no price for {day}",
            hint=f"add a period that holds then to the price profile `{offer.name}`, or compare with another offer",
        )
    return max(ended, key=lambda p: p.end or day)


def charge(tokens: KindTokens, prices: UsdPerMillion) -> KindUsd:
    """Price tokens by kind; cached input without a price of its own is billed as input."""
    cached = prices.input if prices.cached_input is None else prices.cached_input
    return KindUsd(
        fresh_input=prices.input * tokens.fresh_input / MILLION,
        cached_input=cached * tokens.cached_input / MILLION,
        output=prices.output * tokens.output / MILLION,
    )


def api_bill(usage: tuple[RequestUsage, ...], offer: ApiPrice) -> ApiBill:
    """Price every request by its own usage at its own moment, and add up; raises ComparisonError without requests."""
    if not usage:
        raise ComparisonError("there is no request to price", hint="run the load test again, and look at its failures")
    same, none, uses = KindUsd(), KindUsd(), dict[PriceList, int]()
    fresh = cached = output = 0
    for request in usage:
        chosen = price_list(offer, at=request.at, input_tokens=request.input_tokens)
        tokens = kinds(request)
        without = KindTokens(fresh_input=request.input_tokens, cached_input=0, output=request.output_tokens)
        same = same.plus(charge(tokens, chosen.usd_per_m))
        none = none.plus(charge(without, chosen.usd_per_m))
        uses[chosen] = uses.get(chosen, 0) + 1
        fresh, cached, output = fresh + tokens.fresh_input, cached + tokens.cached_input, output + tokens.output
    return ApiBill(
        offer=offer.name,
        requests=len(usage),
        tokens=KindTokens(fresh_input=fresh, cached_input=cached, output=output),
        same_hits=same,
        no_hits=none,
        lists=tuple(ListUse(price_list=p, requests=n) for p, n in sorted(uses.items(), key=lambda item: -item[1])),
    )


def node_bill(window_s: float, *, usd_per_hour: Decimal, nodes: int) -> NodeBill:
    """Return what `nodes` machines at `usd_per_hour` each cost in a window of seconds."""
    seconds = Decimal(str(window_s))
    hourly = usd_per_hour * nodes
    return NodeBill(seconds=seconds, usd_per_hour=hourly, usd=hourly * seconds / SECONDS_PER_HOUR)
