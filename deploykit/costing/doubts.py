"""What a reader must know about a price, a rate or the tokens they are applied to: caveats."""

import datetime as dt
from typing import assert_never

from deploykit.catalog.price import ApiPrice
from deploykit.caveat import REHEARSAL, Caveat, Weight
from deploykit.costing.bill import ApiBill, KindTokens
from deploykit.costing.costs import OfferStatus
from deploykit.costing.hourly import HourlyCost
from deploykit.measuring.measurements import Measurements

OLD_DAYS = 90
"""Prices and rates older than this are doubted: API prices of one model changed twice within a month in 2026."""


def of_measurements(measurements: Measurements, tokens: KindTokens, *, rehearsal: bool) -> tuple[Caveat, ...]:
    """Return what is doubtful about the tokens themselves."""
    found: list[Caveat] = []
    if rehearsal:
        found.append(REHEARSAL)
    if measurements.verdict == "INVALID":
        says = "The load test is INVALID: its numbers must not be used for a decision."
        found.append(Caveat(code="loadtest-invalid", weight=Weight.INVALID, says=says))
    elif measurements.verdict == "UNCLEAR":
        says = "The load test is UNCLEAR: its numbers may be off."
        found.append(Caveat(code="loadtest-unclear", weight=Weight.DOUBT, says=says))
    priced = measurements.priced
    if not priced.slo_met:
        says = (
            f"No stage met the SLO: in the one that is priced {priced.good_requests:,} of {priced.requests:,} requests "
            f"were good, {measurements.slo.share:.0%} are asked. This is not the price at the SLO."
        )
        found.append(Caveat(code="slo-missed", weight=Weight.INVALID, says=says))
    return (*found, *_of_usage(measurements, tokens))


def _of_usage(measurements: Measurements, tokens: KindTokens) -> list[Caveat]:
    found: list[Caveat] = []
    unknown = sum(request.cached_tokens is None for request in measurements.usage)
    if unknown:
        says = (
            f"The server did not say how many tokens came from its cache in {unknown:,} of {len(measurements.usage):,} "
            "requests; they are billed as fresh, so the API's invoice is at its highest."
        )
        found.append(Caveat(code="cached-unknown", weight=Weight.DOUBT, says=says))
    beyond = sum((request.cached_tokens or 0) > request.input_tokens for request in measurements.usage)
    if beyond:
        says = f"{beyond:,} requests claim more cached than input tokens; all their input is taken as cached."
        found.append(Caveat(code="cached-beyond-input", weight=Weight.DOUBT, says=says))
    counted = measurements.priced.tokens.total
    if counted != tokens.total:
        says = (
            f"The priced requests used {tokens.total:,} tokens, but the stage counted {counted:,}: the bills are for "
            "the former, the throughput is from the latter."
        )
        found.append(Caveat(code="tokens-differ", weight=Weight.DOUBT, says=says))
    return found


def of_unpriced(offer: ApiPrice, *, when: dt.date) -> Caveat:
    """Return the note that an offer is left out because it begins later."""
    says = f"`{offer.name}` has no price for {when} yet and is left out."
    return Caveat(code="offer-without-price", weight=Weight.NOTE, says=says)


def of_rate(cost: HourlyCost, *, when: dt.date, ago: str = "before the load test") -> tuple[Caveat, ...]:
    """Return what is doubtful about an hourly rate."""
    found: list[Caveat] = []
    if cost.kind == "stand-in":
        says = f"The rate `{cost.rate}` is a round figure for rehearsals; nobody charges it."
        found.append(Caveat(code="rate-stand-in", weight=Weight.INVALID, says=says))
    age = (when - cost.as_of).days
    if age > OLD_DAYS:
        says = f"The rate `{cost.rate}` is of {cost.as_of}, {age} days {ago}."
        found.append(Caveat(code="rate-old", weight=Weight.DOUBT, says=says))
    return tuple(found)


def of_offer(
    offer: ApiPrice,
    bill: ApiBill,
    *,
    status: OfferStatus,
    model: str,
    when: dt.date,
    ago: str = "before the load test",
) -> tuple[Caveat, ...]:
    """Return what is doubtful about an offer's invoice for our tokens."""
    found: list[Caveat] = []
    match status:
        case "same model":
            pass
        case "comparable model":
            says = f"`{offer.name}` is of another model than `{model}`: tokens per task and quality differ."
            found.append(Caveat(code="offer-other-model", weight=Weight.NOTE, says=says))
        case "other model":
            says = f"`{offer.name}` is of another model than `{model}`, and nothing says that the two can be compared."
            found.append(Caveat(code="offer-not-comparable", weight=Weight.DOUBT, says=says))
        case "retired":
            says = f"`{offer.name}` is retired: its last price is history."
            found.append(Caveat(code="offer-retired", weight=Weight.NOTE, says=says))
        case _:
            assert_never(status)
    if not bill.has_cached_price and bill.tokens.cached_input:
        says = (
            f"`{offer.name}` has no price for cached input; {bill.tokens.cached_input:,} cached tokens bill as fresh."
        )
        found.append(Caveat(code="no-cached-price", weight=Weight.NOTE, says=says))
    age = (when - bill.as_of).days
    if age > OLD_DAYS and status != "retired":
        says = f"The price of `{offer.name}` is of {bill.as_of}, {age} days {ago}."
        found.append(Caveat(code="price-old", weight=Weight.DOUBT, says=says))
    return tuple(found)
