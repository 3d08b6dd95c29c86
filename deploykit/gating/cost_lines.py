"""A run's comparison with APIs -> the lines of the comment's cost table: what a million tokens of its mix costs, where."""

from collections.abc import Iterator
from decimal import Decimal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.ranges import Range
from deploykit.costing.costs import Comparison, OfferCost

MOST_OFFERS = 3


class CostLine(Value):
    """What the measured tokens cost at one place."""

    what: str
    usd_per_m: Decimal = Field(description="Per million tokens of the measured mix.")
    usd_per_1k_good: Decimal | None = Field(description="Per thousand good requests; null where none was good.")
    note: str = ""


def cost_lines(compared: Comparison, *, busy: Range | None) -> tuple[CostLine, ...]:
    """Return the headline rate at the measured load and at the stated duty cycle, then the offers that are compared.

    An idle node bills on: at a share `busy` of the measured load a token costs `1 / busy` as much.
    """
    return (*_own(compared, busy), *_theirs(compared))


def _own(compared: Comparison, busy: Range | None) -> Iterator[CostLine]:
    rate = compared.rates[0]
    yield CostLine(
        what=f"self-hosted, {rate.label}, at the measured load",
        usd_per_m=rate.usd_per_m,
        usd_per_1k_good=rate.usd_per_1k_good_requests,
        note=f"{rate.usd_per_hour:,.2f} USD/h",
    )
    if busy is not None and busy.central > 0:
        good = rate.usd_per_1k_good_requests
        yield CostLine(
            what=f"self-hosted, {100 * busy.central:.0f} % busy",
            usd_per_m=rate.usd_per_m / busy.central,
            usd_per_1k_good=None if good is None else good / busy.central,
            note="your duty cycle",
        )


def _theirs(compared: Comparison) -> Iterator[CostLine]:
    offers = sorted((o for o in compared.offers if o.compared), key=lambda offer: offer.usd_same_hits)
    for offer in offers[:MOST_OFFERS]:
        yield _offer(
            offer, offer.usd_per_m_same_hits, offer.usd_same_hits, compared.good_requests, "our cache hit rate"
        )
        if offer.usd_no_hits != offer.usd_same_hits:
            yield _offer(offer, offer.usd_per_m_no_hits, offer.usd_no_hits, compared.good_requests, "no cache hits")


def _offer(offer: OfferCost, usd_per_m: Decimal, usd: Decimal, good: int, hits: str) -> CostLine:
    return CostLine(
        what=f"{offer.provider} {offer.api_model}, {hits}",
        usd_per_m=usd_per_m,
        usd_per_1k_good=usd * 1000 / good if good else None,
        note=f"price of {offer.as_of}, {offer.hours}{_status(offer)}",
    )


def _status(offer: OfferCost) -> str:
    return "" if offer.status == "same model" else f"; {offer.status}"
