"""Two bills -> the sentence a reader came for. It can say that the API is cheaper, or that there is no verdict."""

from decimal import Decimal

from deploykit.costing.costs import OfferCost, Pairing, RateCost, Verdict
from deploykit.measuring.measurements import Measurements
from deploykit.units import show_usd

_FULL = Decimal(1)


def verdict(
    measurements: Measurements,
    rates: tuple[RateCost, ...],
    offers: tuple[OfferCost, ...],
    pairings: tuple[Pairing, ...],
    *,
    rehearsal: bool,
    busy: Decimal | None = None,
) -> tuple[Verdict, str]:
    """Decide the first rate against the cheapest offer of the same model (of a comparable one, if there is none).

    A node that is `busy` that share of its time costs its hours over so much fewer tokens; None is always full.
    """
    offer = _cheapest(offers)
    of_rate = {pairing.rate: pairing for pairing in pairings if pairing.offer == offer.offer}
    decided = {rate.rate: _decide(of_rate[rate.rate], busy or _FULL) for rate in rates}
    headline = rates[0]
    arithmetic = _say(decided[headline.rate], headline, offer, of_rate[headline.rate], busy)
    arithmetic += _say_others(decided, rates)
    if offer.status != "same model":
        arithmetic += f" {offer.title} is another model."

    against = _why_not(measurements, rehearsal=rehearsal)
    if rehearsal:
        return "none", f"No verdict: {'; '.join(against)}. The sums below show how the figures are made, and no more."
    if against:
        return "none", f"No verdict: {'; '.join(against)}. By the arithmetic alone: {_lower(arithmetic)}"
    if measurements.verdict == "UNCLEAR":
        arithmetic += " The load test is UNCLEAR, so take this with its caveats."
    return decided[headline.rate], arithmetic


def show_ratio(ratio: Decimal | None) -> str:
    """Return a ratio with two significant digits, such as `9.9x`."""
    if ratio is None:
        return "unknown"
    if ratio >= Decimal("9.95"):
        return f"{ratio:,.0f}x"
    if ratio >= 1:
        return f"{ratio:.1f}x"
    return f"{ratio:.2f}x" if ratio >= Decimal("0.01") else "under 0.01x"


def show_utilisation(share: Decimal | None) -> str:
    """Return a break-even utilisation as text; above 1 it is `never`."""
    if share is None:
        return "unknown"
    if share > 1:
        return "never"
    return "under 1 % busy" if share < Decimal("0.01") else f"{100 * share:.0f} % busy"


def _cheapest(offers: tuple[OfferCost, ...]) -> OfferCost:
    same = [offer for offer in offers if offer.status == "same model"]
    comparable = [offer for offer in offers if offer.status == "comparable model"]
    return min(same or comparable or offers, key=lambda offer: offer.usd_same_hits)


def _decide(pairing: Pairing, busy: Decimal) -> Verdict:
    # An API that charges nothing has no ratio, and nothing is cheaper than it.
    if pairing.ratio_no_hits is None or pairing.ratio_no_hits > busy:
        return "api-cheaper"
    if pairing.ratio is None or pairing.ratio > busy:
        return "depends-on-api-cache"
    return "self-hosting-cheaper"


def _say(decided: Verdict, rate: RateCost, offer: OfferCost, pairing: Pairing, busy: Decimal | None) -> str:
    load = busy or _FULL
    ours, theirs = f"{show_usd(rate.usd_per_m / load)}/M", f"{show_usd(offer.usd_per_m_same_hits)}/M"
    who = f"{offer.provider} ({offer.api_model}, {offer.hours})"
    where = "at the measured load" if busy is None else f"when {show_utilisation(busy)}, as you say"
    limit = show_utilisation(pairing.break_even_utilisation)
    limit = f"over {limit}" if "under" not in limit else "more than 1 % busy"
    if decided == "self-hosting-cheaper":
        return f"Self-hosting is cheaper while the node is {limit}: {ours} {where} ({rate.label}), {theirs} from {who}."
    if decided == "depends-on-api-cache":
        return (
            f"It depends on the API's cache: {ours} on this node {where} ({rate.label}), {theirs} from "
            f"{who} at our cache hit rate, {show_usd(offer.usd_per_m_no_hits)}/M without hits."
        )
    times = f", {show_ratio(pairing.ratio / load)} as much" if pairing.ratio is not None else ""
    costs = f"The API is cheaper: {theirs} from {who}, {ours} on this node {where} ({rate.label}){times}. "
    if pairing.ratio_no_hits is None or pairing.ratio_no_hits > 1:
        return costs + "At this SLO the node never wins, however busy."
    if pairing.ratio is None or pairing.ratio > 1:
        return costs + "At our cache hit rate the node never wins, however busy."
    return costs + f"The node would win {limit}."


def _say_others(decided: dict[str, Verdict], rates: tuple[RateCost, ...]) -> str:
    """Return what the rates say that do not agree with the first one."""
    answers: tuple[tuple[Verdict, str], ...] = (
        ("self-hosting-cheaper", "self-hosting is cheaper"),
        ("api-cheaper", "the API is cheaper"),
        ("depends-on-api-cache", "it depends on the API's cache"),
    )
    said = ""
    for answer, words in answers:
        others = [rate for rate in rates if decided[rate.rate] == answer != decided[rates[0].rate]]
        if others:
            said += f" At {_name(others)}, {words}."
    return said


def _name(rates: list[RateCost]) -> str:
    if len(rates) <= 2:
        return " and at ".join(f"{rate.label}, {show_usd(rate.usd_per_hour)}/h" for rate in rates)
    hourly = [rate.usd_per_hour for rate in rates]
    return f"{len(rates)} other rates, {show_usd(min(hourly))} to {show_usd(max(hourly))}/h"


def _why_not(measurements: Measurements, *, rehearsal: bool) -> list[str]:
    against: list[str] = []
    if rehearsal:
        against.append("this is a rehearsal on stand-in hardware with stand-in weights")
    if measurements.verdict == "INVALID":
        against.append("the load test is INVALID")
    if not measurements.priced.slo_met:
        against.append("no stage met the SLO, so this is not the price at the SLO")
    return against


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
