"""What a run is priced with, its requests and its capacity -> decisions: each way to pay for the nodes, against an API."""

import datetime as dt
from decimal import Decimal

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice
from deploykit.catalog.ranges import Range
from deploykit.caveat import REHEARSAL, Caveat, Weight
from deploykit.costing import doubts
from deploykit.costing.bill import KindTokens, api_bill, kinds
from deploykit.costing.capacity import Capacity, measured_capacity
from deploykit.costing.case import Case
from deploykit.costing.comparison import offer_status, rate_labels, say_mix
from deploykit.costing.costs import OfferStatus
from deploykit.costing.decision import Decision, decide
from deploykit.costing.hourly import HourlyCost
from deploykit.costing.month_price import MonthPrice, month_price
from deploykit.costing.pricing import Pricing
from deploykit.errors import ComparisonError
from deploykit.measuring.measurements import Measurements, RequestUsage
from deploykit.measuring.repeating import RepeatedMeasurements
from deploykit.units import MILLION

_RANK: dict[OfferStatus, int] = {"same model": 0, "comparable model": 1, "other model": 2, "retired": 3}


class Served(Value):
    """The traffic that is decided about."""

    usage: tuple[RequestUsage, ...]
    tokens: KindTokens
    capacity: Capacity | None
    mix: str
    good_per_m: Decimal | None = None
    """Good requests in a million tokens, where that was measured."""
    when: dt.date
    warning: str | None = None
    """What must be said first: why nobody may decide by this."""
    ago: str
    """What an old price is told to be old before."""


class _Priced(Value):
    offer: ApiPrice
    price: MonthPrice
    status: OfferStatus
    caveats: tuple[Caveat, ...]


def served_by(measurements: Measurements, repeated: RepeatedMeasurements | None = None) -> Served:
    """Return what a load test served in its priced window; ComparisonError if that was nothing."""
    usage = measurements.usage
    each = [kinds(request) for request in usage]
    tokens = KindTokens(
        fresh_input=sum(one.fresh_input for one in each),
        cached_input=sum(one.cached_input for one in each),
        output=sum(one.output for one in each),
    )
    if not tokens.total or measurements.priced.window_s <= 0:
        raise ComparisonError("nothing was measured that could be priced", hint="measure again: `deploykit loadtest`")
    known = all(request.cached_tokens is not None for request in usage)
    return Served(
        usage=usage,
        tokens=tokens,
        capacity=measured_capacity(measurements, tokens, repeated),
        mix=say_mix(tokens, cached_known=known),
        good_per_m=Decimal(measurements.priced.good_requests) * MILLION / tokens.total,
        when=max(request.at for request in usage).date(),
        ago="before the load test",
        warning=_warning(measurements),
    )


def decisions(
    pricing: Pricing,
    served: Served,
    *,
    api_usd_per_month: Decimal | None = None,
    gains: dict[str, Range] | None = None,
) -> tuple[Decision, ...]:
    """Decide the owned node and the headline rate against the offers that are named, or else the cheapest one.

    `api_usd_per_month` is an invoice of today, which says the volume; `gains` are scenarios' factors on the throughput.
    Raises ComparisonError where no rate or no current price is known.
    """
    if not pricing.hourly:
        raise ComparisonError(
            "what an hour of this node costs is unknown",
            hint="say what it rents for, --usd-per-hour 16, or what it costs to buy, --capex 300000",
        )
    against = _against(pricing, served)
    labels = rate_labels(pricing.hourly)
    found = []
    for hourly, label in _ways(pricing.hourly, labels):
        for priced in against:
            case = Case(
                terms=hourly.known_terms,
                nodes=hourly.nodes,
                capacity=served.capacity,
                busy=pricing.duty,
                api_usd_per_m=priced.price.usd_per_m,
                good_per_m=served.good_per_m,
                volume_m=_volume(api_usd_per_month, priced.price),
                price_change_percent=pricing.price_change_percent,
                gains=gains or {},
            )
            caveats = (
                *_of_case(pricing, case),
                *doubts.of_rate(hourly, when=served.when, ago=served.ago),
                *priced.caveats,
            )
            made = decide(case, hourly, priced.price, label=label, mix=served.mix, pricing=pricing)
            warning = REHEARSAL.says if pricing.rehearsal else served.warning
            says = made.says if warning is None else (warning, *made.says)
            found.append(made.model_copy(update={"caveats": caveats, "says": says}))
    return tuple(found)


def _warning(measurements: Measurements) -> str | None:
    if measurements.verdict == "INVALID":
        return "The load test is INVALID, so this is arithmetic and no answer."
    if not measurements.priced.slo_met:
        return "No stage met the SLO, so this is not the price at the SLO."
    return None


def _ways(hourly: tuple[HourlyCost, ...], labels: list[str]) -> list[tuple[HourlyCost, str]]:
    """Return the owned node, where there is one, and the first rate."""
    pairs = list(zip(hourly, labels, strict=True))
    owned = [pair for pair in pairs if pair[0].terms is not None and pair[0].terms.kind == "owned"]
    return [*owned, *[pair for pair in pairs if pair not in owned][:1]]


def _against(pricing: Pricing, served: Served) -> list[_Priced]:
    found = []
    for offer in pricing.offers:
        price = month_price(offer, served.usage, when=served.when, traffic=pricing.traffic)
        if price is None:
            continue
        at = served.usage[-1].model_copy(update={"at": dt.datetime.combine(served.when, dt.time(), tzinfo=dt.UTC)})
        bill = api_bill((at,), offer)
        status = offer_status(offer, bill, pricing.model)
        caveats = doubts.of_offer(offer, bill, status=status, model=pricing.model, when=served.when, ago=served.ago)
        found.append(_Priced(offer=offer, price=price, status=status, caveats=caveats))
    current = [each for each in found if each.status != "retired"]
    if pricing.against:
        named = [each for each in found if each.offer.name in pricing.against]
        if named:
            return named
    if not current:
        raise ComparisonError(
            f"no API offer for `{pricing.model}` has a price for {served.when}",
            hint="name one to compare with: --offer NAME, from `deploykit prices`",
        )
    return [min(current, key=lambda each: (_RANK[each.status], each.price.usd_per_m))]


def _volume(api_usd_per_month: Decimal | None, price: MonthPrice) -> Decimal | None:
    if api_usd_per_month is None:
        return None
    if price.usd_per_m == 0:
        raise ComparisonError(f"`{price.offer}` costs nothing for these tokens, so an invoice says no volume")
    return api_usd_per_month / price.usd_per_m


def _of_case(pricing: Pricing, case: Case) -> tuple[Caveat, ...]:
    found = [REHEARSAL] if pricing.rehearsal else []
    if case.busy is None:
        says = (
            "Nobody said how busy the nodes are, so they are taken to be full at all hours: the least a token can cost."
        )
        found.append(Caveat(code="duty-unknown", weight=Weight.DOUBT, says=says))
    if case.gains:
        says = f"Supposed: {', '.join(f'`{name}`' for name in case.gains)}. These are other people's factors, not this node's."
        found.append(Caveat(code="scenario", weight=Weight.DOUBT, says=says))
    missing = case.terms.not_counted
    if missing:
        says = f"Not counted in the hour, because nobody said: {', '.join(missing)}. It costs more than this."
        weight = Weight.DOUBT if "interest" in missing else Weight.NOTE
        found.append(Caveat(code="hour-incomplete", weight=weight, says=says))
    return tuple(found)
