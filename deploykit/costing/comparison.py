"""Measurements, hourly rates and API offers -> a Comparison."""

import datetime as dt
from collections import Counter
from decimal import Decimal

from deploykit.catalog.price import ApiPrice
from deploykit.costing import doubts
from deploykit.costing.bill import SECONDS_PER_HOUR, ApiBill, KindTokens, api_bill, node_bill
from deploykit.costing.costs import (
    Comparison,
    EquivalentPrices,
    Mix,
    OfferCost,
    OfferStatus,
    Pairing,
    RateCost,
)
from deploykit.costing.hourly import HourlyCost, hour_lines, hour_range
from deploykit.costing.verdict import verdict
from deploykit.errors import ComparisonError
from deploykit.measuring.measurements import Measurements, StageMeasurement
from deploykit.units import MILLION

__all__ = ["Comparison", "compare"]


def compare(
    measurements: Measurements,
    hourly: tuple[HourlyCost, ...],
    offers: tuple[ApiPrice, ...],
    *,
    model: str,
    rehearsal: bool,
    compare_retired: bool = False,
    busy: Decimal | None = None,
) -> Comparison:
    """Price the measured tokens by each hourly rate and by each offer.

    `busy` is the operator's mean load over capacity, above 0 and at most 1: the verdict holds for it. Without it the
    verdict is about a node that is always full, and says above which load it holds.
    Retired offers are priced as history and take no part in the comparison, unless `compare_retired`.
    Raises ComparisonError if nothing was measured, or there is no rate, or no offer to compare with.
    """
    _check(measurements, hourly, offers)
    priced, usage = measurements.priced, measurements.usage
    when = max(request.at for request in usage).date()
    priced_offers, unpriced = _with_a_price(offers, min(request.at for request in usage).date())
    bills = [(offer, api_bill(usage, offer)) for offer in priced_offers]
    tokens = bills[0][1].tokens
    rates = tuple(
        _rate_cost(cost, label, priced, tokens, when) for cost, label in zip(hourly, rate_labels(hourly), strict=True)
    )
    costs = tuple(
        _offer_cost(offer, bill, priced, model=model, when=when, compare_retired=compare_retired)
        for offer, bill in bills
    )
    compared = tuple(cost for cost in costs if cost.compared)
    if not compared:
        raise ComparisonError(
            f"every offer to compare with is retired: {', '.join(f'`{cost.offer}`' for cost in costs)}",
            hint="name a current offer of `deploykit prices`, or ask for a retired one by its name",
        )
    pairings = tuple(_pairing(rate, cost, tokens) for rate in rates for cost in compared)
    decided, says = verdict(measurements, rates, compared, pairings, rehearsal=rehearsal, busy=busy)
    cached_known = all(request.cached_tokens is not None for request in usage)
    return Comparison(
        model=model,
        rehearsal=rehearsal,
        verdict=decided,
        says=says,
        mix=Mix(tokens=tokens, cached_known=cached_known, says=say_mix(tokens, cached_known=cached_known)),
        window_s=priced.window_s,
        requests=len(usage),
        good_requests=priced.good_requests,
        slo_met=priced.slo_met,
        rates=rates,
        offers=costs,
        pairings=pairings,
        caveats=(
            *doubts.of_measurements(measurements, tokens, rehearsal=rehearsal),
            *(doubts.of_unpriced(offer, when=when) for offer in unpriced),
        ),
    )


def _check(measurements: Measurements, hourly: tuple[HourlyCost, ...], offers: tuple[ApiPrice, ...]) -> None:
    used = sum(request.input_tokens + request.output_tokens for request in measurements.usage)
    if used == 0 or measurements.priced.window_s <= 0:
        priced = measurements.priced
        failures = ", ".join(f"{count} x {outcome}" for outcome, count in sorted(priced.failures.items()))
        raise ComparisonError(
            f"nothing was measured that could be priced: stage {priced.stage} served no token",
            detail=f"failures: {failures}" if failures else None,
            hint="look at the failures with `deploykit logs`, then run the load test again",
        )
    if not hourly:
        raise ComparisonError(
            "there is no hourly rate for this node",
            hint="give your own with `cost: usd_per_node_hour` in deploykit.yaml, or add a rate to the node's profile",
        )
    if not offers:
        raise ComparisonError(
            "there is no API offer to compare with",
            hint="name one with `cost: offers` in deploykit.yaml; `deploykit prices` lists all of them",
        )


def _with_a_price(offers: tuple[ApiPrice, ...], day: dt.date) -> tuple[list[ApiPrice], list[ApiPrice]]:
    """Part the offers that had a price on a day, or before it, from those that start later."""
    priced = [o for o in offers if any(p.start is None or p.start <= day for p in o.periods)]
    if not priced:
        raise ComparisonError(
            f"no offer has a price for {day}: {', '.join(f'`{offer.name}`' for offer in offers)}",
            hint="add a period that holds then to the price profile, or compare with another offer",
        )
    return priced, [offer for offer in offers if offer not in priced]


def rate_labels(hourly: tuple[HourlyCost, ...]) -> list[str]:
    """Name each rate: provider and kind, and the rate's name where two rates would be called the same."""
    plain = [c.provider if c.kind in c.provider.split() else f"{c.provider} {c.kind}" for c in hourly]
    seen = Counter(plain)
    return [name if seen[name] == 1 else f"{name} ({cost.rate})" for name, cost in zip(plain, hourly, strict=True)]


def _rate_cost(cost: HourlyCost, label: str, priced: StageMeasurement, tokens: KindTokens, when: dt.date) -> RateCost:
    bill = node_bill(priced.window_s, usd_per_hour=cost.usd_per_hour, nodes=cost.nodes)
    good = priced.good_requests
    return RateCost(
        rate=cost.rate,
        label=label,
        provider=cost.provider,
        kind=cost.kind,
        nodes=cost.nodes,
        usd_per_hour=bill.usd_per_hour,
        hour=hour_range(cost.known_terms).times(Decimal(cost.nodes)),
        lines=hour_lines(cost.known_terms),
        not_counted=cost.known_terms.not_counted,
        usd_window=bill.usd,
        usd_per_m=bill.usd * MILLION / tokens.total,
        usd_per_1k_good_requests=bill.usd * 1000 / good if good else None,
        source=cost.source,
        as_of=cost.as_of,
        caveats=doubts.of_rate(cost, when=when),
    )


def _offer_cost(
    offer: ApiPrice,
    bill: ApiBill,
    priced: StageMeasurement,
    *,
    model: str,
    when: dt.date,
    compare_retired: bool,
) -> OfferCost:
    status = offer_status(offer, bill, model)
    same, none, total = bill.same_hits.total, bill.no_hits.total, bill.tokens.total
    return OfferCost(
        offer=offer.name,
        title=offer.title,
        provider=offer.provider,
        api_model=offer.api_model,
        status=status,
        compared=status != "retired" or compare_retired,
        hours=_say_hours(bill),
        same_hits=bill.same_hits,
        no_hits=bill.no_hits,
        usd_same_hits=same,
        usd_no_hits=none,
        usd_per_m_same_hits=same * MILLION / total,
        usd_per_m_no_hits=none * MILLION / total,
        usd_per_hour=same * SECONDS_PER_HOUR / Decimal(str(priced.window_s)),
        has_cached_price=bill.has_cached_price,
        lists=bill.lists,
        source=bill.lists[0].price_list.source,
        as_of=bill.as_of,
        caveats=doubts.of_offer(offer, bill, status=status, model=model, when=when),
    )


def offer_status(offer: ApiPrice, bill: ApiBill, model: str) -> OfferStatus:
    """Return how an offer relates to the model."""
    if bill.retired:
        return "retired"
    if offer.serves == model:
        return "same model"
    return "comparable model" if model in offer.comparable else "other model"


def _say_hours(bill: ApiBill) -> str:
    def name(use_hours: str, above: int | None) -> str:
        return use_hours if above is None else f"above {above:,} input tokens"

    names = [(name(use.price_list.hours, use.price_list.above_input_tokens), use.requests) for use in bill.lists]
    if len({each for each, _ in names}) == 1:
        return names[0][0]
    return ", ".join(f"{each} for {count:,} of {bill.requests:,} requests" for each, count in names)


def _pairing(rate: RateCost, cost: OfferCost, tokens: KindTokens) -> Pairing:
    ratio = rate.usd_window / cost.usd_same_hits if cost.usd_same_hits else None
    return Pairing(
        rate=rate.rate,
        offer=cost.offer,
        ratio=ratio,
        ratio_no_hits=rate.usd_window / cost.usd_no_hits if cost.usd_no_hits else None,
        # H / A_cap: both over the same window, so it is the ratio of the two bills. It has a name of its own because
        # capacity and window part ways once a duty cycle is known.
        break_even_utilisation=ratio,
        equivalent=_equivalent(rate, cost, tokens),
    )


def _equivalent(rate: RateCost, cost: OfferCost, tokens: KindTokens) -> EquivalentPrices | None:
    """Scale the API's prices to our cost: q = p * ours / theirs for each kind, p being what the API took for it on average over its price lists.

    With one price list this is q_O = 1e6 H / (x_O + rho_I x_I + rho_C x_C), q_I = rho_I q_O, q_C = rho_C q_O, with rho
    the API's prices over its output price.
    """
    if not cost.usd_same_hits:
        return None
    scale = rate.usd_window * MILLION / cost.usd_same_hits
    listed = cost.lists[0].price_list.usd_per_m

    def price(paid: Decimal, count: int, list_price: Decimal) -> Decimal:
        # A kind that was not used has no average: the most used list's price stands in for it.
        return paid * scale / count if count else list_price * scale / MILLION

    paid = cost.same_hits
    return EquivalentPrices(
        fresh_input=price(paid.fresh_input, tokens.fresh_input, listed.input),
        cached_input=paid.cached_input * scale / tokens.cached_input if tokens.cached_input else None,
        output=price(paid.output, tokens.output, listed.output),
    )


def say_mix(tokens: KindTokens, *, cached_known: bool) -> str:
    """Return the mix as a reader reads it, such as `36 % fresh, 53 % cached, 11 % output`."""

    def share(count: int) -> str:
        return f"{100 * count / tokens.total:.0f} %"

    if not cached_known:
        return f"{share(tokens.fresh_input)} input (cached share unknown), {share(tokens.output)} output"
    return f"{share(tokens.fresh_input)} fresh, {share(tokens.cached_input)} cached, {share(tokens.output)} output"
