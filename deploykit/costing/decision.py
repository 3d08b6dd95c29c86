"""An hour's cost, a capacity and an API's price -> the decision: costs per token, break-even, payback, with error bars."""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.ranges import Range
from deploykit.caveat import Caveat
from deploykit.costing.capacity import Capacity
from deploykit.costing.case import Case, Outcome
from deploykit.costing.decision_words import Words, sentences
from deploykit.costing.draws import Spread, Sway, centre, draw, spread, tornado
from deploykit.costing.hourly import HourLine, HourlyCost, Owned, hour_lines, hour_range
from deploykit.costing.month_price import MonthPrice
from deploykit.costing.pricing import Pricing
from deploykit.units import HOURS_PER_MONTH

_STEPS = 6


class Step(Value):
    """So many times the nodes: what they cost a month, and from which volume that is less than the API's invoice."""

    nodes: int
    up_to_m: Decimal = Field(description="Million tokens a month that they serve, as busy as said.")
    usd_per_month: Decimal
    api_usd_per_month: Decimal = Field(description="For the volume they serve at most.")
    cheaper_from_m: Decimal | None = Field(
        description="Million tokens a month; null: the API is cheaper up to the end."
    )


class Payback(Value):
    """When the saved invoices have paid for a purchase."""

    capex_usd: Range = Field(description="Of all nodes that the volume needs.")
    months: Spread
    life_years: Range
    within_life: Decimal = Field(description="Share of draws in which it is before the end of the shortest life.")


class Decision(Value):
    """One way to pay for the hardware against one offer."""

    rate: str
    label: str
    nodes: int = Field(description="Machines that serve together.")
    usd_per_hour: Range = Field(description="Of all of them; the bounds have every input at its cheapest or dearest.")
    lines: tuple[HourLine, ...] = Field(description="Of one node.")
    not_counted: tuple[str, ...]
    source: str
    price: MonthPrice
    mix: str
    capacity: Capacity | None
    busy: Range | None = Field(description="Null is full, all hours.")
    gains: dict[str, Range] = Field(description="Scenarios that were multiplied.")
    usd_per_m_full: Spread
    usd_per_m: Spread = Field(description="Per million tokens of the mix, as busy as said.")
    usd_per_1k_good: Spread | None = Field(description="For 1,000 requests that meet the SLO; null was not measured.")
    break_even_utilisation: Spread
    break_even_volume_m: Spread = Field(description="Million tokens a month that cost the same at the API.")
    reachable: bool | None = Field(description="Whether the nodes serve that volume; null is unknown.")
    volume_m: Decimal | None = Field(description="Million tokens a month that were asked about.")
    api_usd_per_month: Decimal | None
    nodes_needed: Spread | None
    usd_per_month: Spread | None = Field(description="Of the nodes that the volume needs, capital and all.")
    payback: Payback | None = Field(description="Of a purchase, where a volume was asked about.")
    staircase: tuple[Step, ...]
    tornado_of: Literal["usd_per_m", "payback_months", "usd_per_month"]
    tornado: tuple[Sway, ...]
    says: tuple[str, ...] = Field(description="The answer in sentences, the first one first.")
    caveats: tuple[Caveat, ...]
    draws: int
    seed: int


def decide(
    case: Case,
    hourly: HourlyCost,
    price: MonthPrice,
    *,
    label: str,
    mix: str,
    pricing: Pricing,
) -> Decision:
    """Reckon one case; the same inputs and seed give the same digits."""
    middle, drawn = centre(case), draw(case, draws=pricing.draws, seed=pricing.seed)

    def of(name: str) -> Spread:
        return spread(middle, drawn, lambda each: getattr(each, name))

    payback = _payback(case, middle, drawn)
    tornado_of: Literal["usd_per_m", "payback_months", "usd_per_month"] = "usd_per_m"
    if case.capacity is None and case.volume_m is not None:
        tornado_of = "usd_per_month"
    if payback is not None and payback.months.central is not None:
        tornado_of = "payback_months"
    steps = _staircase(case, middle)
    asked = case.volume_m is not None
    api = None if case.volume_m is None else case.volume_m * case.api_usd_per_m
    made = Decision(
        rate=hourly.rate,
        label=label,
        nodes=case.nodes,
        usd_per_hour=hour_range(case.terms).times(Decimal(case.nodes)),
        lines=hour_lines(case.terms),
        not_counted=case.terms.not_counted,
        source=hourly.source,
        price=price,
        mix=mix,
        capacity=case.capacity,
        busy=case.busy,
        gains=case.gains,
        usd_per_m_full=of("usd_per_m_full"),
        usd_per_m=of("usd_per_m"),
        usd_per_1k_good=of("usd_per_1k_good") if case.good_per_m and case.capacity is not None else None,
        break_even_utilisation=of("break_even_utilisation"),
        break_even_volume_m=of("break_even_volume_m"),
        reachable=_reachable(middle),
        volume_m=case.volume_m,
        api_usd_per_month=api,
        nodes_needed=of("machines") if asked else None,
        usd_per_month=of("usd_per_month") if asked else None,
        payback=payback,
        staircase=steps,
        tornado_of=tornado_of,
        tornado=tornado(case, lambda each: getattr(each, tornado_of)),
        says=(),
        caveats=(),
        draws=len(drawn),
        seed=pricing.seed,
    )
    return made.model_copy(update={"says": sentences(_words(made, middle))})


def _words(made: Decision, middle: Outcome) -> Words:
    return Words(
        label=made.label,
        offer=made.price.title,
        api_usd_per_m=made.price.usd_per_m,
        usd_per_m=made.usd_per_m,
        utilisation=made.break_even_utilisation,
        volume=made.break_even_volume_m,
        capacity_m=middle.capacity_m,
        reachable=made.reachable,
        asked_m=made.volume_m,
        api_usd_per_month=made.api_usd_per_month,
        needed=made.nodes_needed,
        usd_per_month=made.usd_per_month,
        running_usd_per_month=middle.running_usd_per_month,
        payback_months=made.payback.months if made.payback else None,
        within_life=made.payback.within_life if made.payback else None,
        life_years=made.payback.life_years if made.payback else None,
        full=made.busy is None,
    )


def _reachable(middle: Outcome) -> bool | None:
    if middle.capacity_m is None or middle.break_even_volume_m is None:
        return None
    return middle.break_even_volume_m <= middle.capacity_m


def _payback(case: Case, middle: Outcome, drawn: tuple[Outcome, ...]) -> Payback | None:
    if not isinstance(case.terms, Owned) or case.volume_m is None or middle.machines is None:
        return None
    months = spread(middle, drawn, lambda each: each.payback_months)
    life = case.terms.life_years
    within = sum(each.payback_months is not None and each.payback_months <= life.low * 12 for each in drawn)
    return Payback(
        capex_usd=case.terms.capex_usd.times(middle.machines),
        months=months,
        life_years=life,
        within_life=Decimal(within) / len(drawn),
    )


def _staircase(case: Case, middle: Outcome) -> tuple[Step, ...]:
    """Return the first steps, and as many as the volume that was asked about needs, at the inputs' centres."""
    if middle.capacity_m is None:
        return ()
    monthly = middle.usd_per_hour * HOURS_PER_MONTH
    needed = int(middle.groups or 1)
    steps = list(range(1, _STEPS + 1)) if needed <= _STEPS else [*range(1, _STEPS), needed]
    found = []
    for count in steps:
        upto, usd = middle.capacity_m * count, monthly * count
        even = usd / case.api_usd_per_m if case.api_usd_per_m else None
        # Between the step before and this one's end; below, fewer nodes are enough.
        start = None if even is None or even > upto else max(even, middle.capacity_m * (count - 1))
        found.append(
            Step(
                nodes=count * case.nodes,
                up_to_m=upto,
                usd_per_month=usd,
                api_usd_per_month=case.api_usd_per_m * upto,
                cheaper_from_m=start,
            )
        )
    return tuple(found)
