"""The values of a comparison: two bills for the same tokens, rate by rate and offer by offer."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.ranges import Range
from deploykit.caveat import Caveat
from deploykit.costing.bill import KindTokens, KindUsd, ListUse
from deploykit.costing.hourly import HourLine

OfferStatus = Literal["same model", "comparable model", "other model", "retired"]
Verdict = Literal["self-hosting-cheaper", "api-cheaper", "depends-on-api-cache", "none"]


class Mix(Value):
    """The tokens that both bills are for."""

    tokens: KindTokens
    cached_known: bool = Field(description="False: the server did not say, and cached input is billed as fresh.")
    says: str = Field(description="Such as `36 % fresh, 53 % cached, 11 % output`.")


class RateCost(Value):
    """The node's bill at one hourly rate."""

    rate: str
    label: str = Field(description="Provider and kind, and the rate's name where that is not enough.")
    provider: str
    kind: str
    nodes: int
    usd_per_hour: Decimal = Field(description="Of all nodes together.")
    hour: Range | None = Field(None, description="The same with its bounds; null in files of old.")
    lines: tuple[HourLine, ...] = Field((), description="What the hour is made of, of one node.")
    not_counted: tuple[str, ...] = Field((), description="What of an hour's cost nobody said.")
    usd_window: Decimal = Field(description="For the measured window.")
    usd_per_m: Decimal = Field(description="Per million tokens of the mix, the node as busy as in the window.")
    usd_per_1k_good_requests: Decimal | None = Field(description="Null when no request was good.")
    source: str
    as_of: dt.date
    caveats: tuple[Caveat, ...] = ()


class OfferCost(Value):
    """An API's invoice for the same tokens."""

    offer: str
    title: str
    provider: str
    api_model: str
    status: OfferStatus
    compared: bool = Field(description="False for a retired offer: it is history, unless it was asked for.")
    hours: str = Field(description="Such as `off-peak`, or `peak for 12 of 40 requests`.")
    same_hits: KindUsd = Field(description="In USD, by kind of token, at our cache hit rate.")
    no_hits: KindUsd
    usd_same_hits: Decimal
    usd_no_hits: Decimal
    usd_per_m_same_hits: Decimal
    usd_per_m_no_hits: Decimal
    usd_per_hour: Decimal = Field(description="The invoice for an hour of this traffic, at our cache hit rate.")
    has_cached_price: bool
    lists: tuple[ListUse, ...]
    source: str
    as_of: dt.date
    caveats: tuple[Caveat, ...] = ()


class EquivalentPrices(Value):
    """Prices per million tokens in the API's own ratios: applied to the tokens they add up to the node's cost."""

    fresh_input: Decimal
    cached_input: Decimal | None = Field(description="Null when no cached token was counted.")
    output: Decimal


class Pairing(Value):
    """One rate against one offer."""

    rate: str
    offer: str
    ratio: Decimal | None = Field(description="Our cost over theirs, at our cache hit rate; null if theirs is 0.")
    ratio_no_hits: Decimal | None
    break_even_utilisation: Decimal | None = Field(
        description="Share of the measured capacity at which both cost the same: the hourly rate over the hourly "
        "invoice. Above 1 the node never wins at this SLO."
    )
    equivalent: EquivalentPrices | None


class Comparison(Value):
    """The same tokens, two bills. The first rate is the headline."""

    format: Literal["deploykit/comparison/1"] = "deploykit/comparison/1"
    model: str
    rehearsal: bool
    verdict: Verdict
    says: str = Field(description="The verdict as a sentence or two.")
    mix: Mix
    window_s: float
    requests: int
    good_requests: int
    slo_met: bool
    rates: tuple[RateCost, ...] = Field(min_length=1)
    offers: tuple[OfferCost, ...] = Field(min_length=1)
    pairings: tuple[Pairing, ...]
    caveats: tuple[Caveat, ...] = Field((), description="Those of no single rate or offer.")

    def pairing(self, rate: str, offer: str) -> Pairing | None:
        """Return a rate against an offer, or None if they were not compared."""
        return next((p for p in self.pairings if (p.rate, p.offer) == (rate, offer)), None)

    @property
    def all_caveats(self) -> tuple[Caveat, ...]:
        """Every caveat, of the whole and of each rate and offer."""
        return (
            *self.caveats,
            *(c for rate in self.rates for c in rate.caveats),
            *(c for offer in self.offers for c in offer.caveats),
        )
