"""One decision: an hour's terms, a capacity, a duty cycle and an API's price -> costs per token, break-even, payback.

With `H` USD an hour of all nodes, `X` million tokens an hour at the SLO, `a` the API's USD per million of the same mix and
`u` how busy the nodes are on average (notes on dollars per million tokens, docs/explanation/cost.md):

- cost per million `H / (X u)`; break-even utilisation `u* = H / (a X)`, above 1 is never;
- break-even volume a month `V* = 730 H / a`, true up to the capacity `730 X u`; beyond it `n = ceil(V / (730 X u))` times
  the nodes are paid for: a staircase;
- payback of a purchase `K` with running costs `o` a month, the API's price changing by `d` a year and capital costing `i` a
  year (the discounted payback period): the first month `m` with `sum_(k<=m) (a V (1+d)^(k/12) - o) / (1+i)^(k/12) >= K`.
  The resale is not in it: it comes at the end of a life, when what has not paid back by then has not.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.ranges import Range
from deploykit.costing.capacity import Capacity
from deploykit.costing.hourly import HourTerms, Owned, power, usd_by_line
from deploykit.units import HOURS_PER_MONTH, MILLION

LONGEST_MONTHS = 600
"""Fifty years: what has not paid back by then never does."""

THROUGHPUT, BUSY, PRICE_CHANGE = "throughput", "busy", "price_change_percent"
_NONE, _ONE = Decimal(0), Decimal(1)

Numbers = Mapping[str, Decimal]


class Case(Value):
    """All that a decision is made from."""

    terms: HourTerms
    nodes: int = Field(gt=0, description="Machines that serve together what `capacity` says.")
    capacity: Capacity | None = Field(description="Null is unknown: costs per token cannot be said then.")
    busy: Range | None = Field(description="Mean load over capacity; null is full.")
    api_usd_per_m: Decimal = Field(ge=0)
    good_per_m: Decimal | None = Field(
        None, ge=0, description="Good requests in a million tokens; null is not measured."
    )
    volume_m: Decimal | None = Field(None, gt=0, description="Million tokens a month; null was not asked.")
    price_change_percent: Range | None = None
    gains: dict[str, Range] = Field({}, description="Scenarios: factors on the tokens of an hour.")

    @property
    def inputs(self) -> dict[str, Range]:
        """Return every input with its range; the throughput as a factor on the capacity."""
        found = {**self.terms.inputs, **self.gains}
        capacity = self.capacity
        if capacity is not None and capacity.low is not None and capacity.high is not None:
            middle = capacity.tokens_per_hour
            found[THROUGHPUT] = Range(low=capacity.low / middle, central=_ONE, high=capacity.high / middle)
        if self.busy is not None:
            found[BUSY] = self.busy
        if self.price_change_percent is not None and isinstance(self.terms, Owned):
            found[PRICE_CHANGE] = self.price_change_percent
        return found


class Outcome(Value):
    """What follows from one number for each input; null cannot be said, or never happens."""

    usd_per_hour: Decimal = Field(description="Of all nodes.")
    usd_per_m_full: Decimal | None
    usd_per_m: Decimal | None = Field(description="As busy as said.")
    usd_per_1k_good: Decimal | None = Field(description="For 1,000 requests that meet the SLO, as busy as said.")
    break_even_utilisation: Decimal | None
    break_even_volume_m: Decimal | None
    capacity_m: Decimal | None = Field(description="Million tokens a month, as busy as said.")
    groups: Decimal | None = Field(description="How many times the nodes the volume needs.")
    machines: Decimal | None = Field(description="Machines that the volume needs.")
    usd_per_month: Decimal | None = Field(description="Of so many nodes.")
    running_usd_per_month: Decimal | None = Field(description="Of so many nodes, without their capital.")
    payback_months: Decimal | None = Field(description="Null is never, or was not asked.")


def outcome(case: Case, at: Numbers) -> Outcome:
    """Reckon a case with one number for each of its inputs."""
    lines = usd_by_line(case.terms, at)
    hourly = sum(lines.values(), _NONE) * case.nodes
    million = _million_an_hour(case, at)
    busy = at.get(BUSY, _ONE)
    price = case.api_usd_per_m
    capacity = None if million is None else million * busy * HOURS_PER_MONTH
    groups = None
    if case.volume_m is not None:
        groups = _ONE if capacity is None else (case.volume_m / capacity).to_integral_value(ROUND_CEILING)
    machines = None if groups is None else groups * case.nodes
    running = sum((usd for name, usd in lines.items() if name != "capital"), _NONE) * HOURS_PER_MONTH
    return Outcome(
        usd_per_hour=hourly,
        usd_per_m_full=None if million is None else hourly / million,
        usd_per_m=None if million is None else hourly / (million * busy),
        usd_per_1k_good=None
        if million is None or not case.good_per_m
        else 1000 * hourly / (million * busy * case.good_per_m),
        break_even_utilisation=None if million is None or price == 0 else hourly / (price * million),
        break_even_volume_m=None if price == 0 else HOURS_PER_MONTH * hourly / price,
        capacity_m=capacity,
        groups=groups,
        usd_per_month=None if groups is None else groups * hourly * HOURS_PER_MONTH,
        machines=machines,
        running_usd_per_month=None if machines is None else machines * running,
        payback_months=_payback(case, at, running, machines),
    )


def _million_an_hour(case: Case, at: Numbers) -> Decimal | None:
    if case.capacity is None:
        return None
    million = case.capacity.tokens_per_hour / MILLION * at.get(THROUGHPUT, _ONE)
    for name in case.gains:
        million *= at[name]
    return million


def _payback(case: Case, at: Numbers, running_usd_per_month: Decimal, machines: Decimal | None) -> Decimal | None:
    if machines is None or case.volume_m is None or not isinstance(case.terms, Owned):
        return None
    return payback_months(
        capex=at["capex_usd"] * machines,
        api_usd_per_month=case.api_usd_per_m * case.volume_m,
        running_usd_per_month=running_usd_per_month * machines,
        change_per_year=at.get(PRICE_CHANGE, _NONE) / 100,
        interest=at.get("interest", _NONE),
    )


def payback_months(
    *,
    capex: Decimal,
    api_usd_per_month: Decimal,
    running_usd_per_month: Decimal,
    change_per_year: Decimal = _NONE,
    interest: Decimal = _NONE,
) -> Decimal | None:
    """Return after how many months the saved invoices have paid for a purchase; None is never, or not in fifty years.

    `interest` is what capital costs, a share a year. Whole months where the price changes or capital costs something;
    exact, `K / (a V - o)`, where neither is.
    """
    if change_per_year == interest == 0:
        saved = api_usd_per_month - running_usd_per_month
        months = capex / saved if saved > 0 else None
        return months if months is not None and months <= LONGEST_MONTHS else None
    monthly, discount = power(1 + change_per_year, _ONE / 12), power(1 + interest, -_ONE / 12)

    def saved_by(month: int) -> Decimal:
        return api_usd_per_month * _powers(monthly * discount, month) - running_usd_per_month * _powers(discount, month)

    # Savings of a month change their sign once at most: their sum is highest at an end, or in the month they turn negative.
    last = LONGEST_MONTHS
    if change_per_year < 0:
        last = _last_month_that_saves(api_usd_per_month, running_usd_per_month, monthly)
    if last == 0 or saved_by(last) < capex:
        return None
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if saved_by(middle) >= capex else (middle, high)
    return Decimal(high)


def _powers(ratio: Decimal, count: int) -> Decimal:
    """Return the sum of a ratio's powers from the first on."""
    return Decimal(count) if ratio == 1 else ratio * (1 - ratio**count) / (1 - ratio)


def _last_month_that_saves(api: Decimal, running: Decimal, monthly: Decimal) -> int:
    """Return the last month whose invoice, by a falling price, is still above the running costs."""
    if running == 0:
        return LONGEST_MONTHS
    if api * monthly <= running:
        return 0
    return min(LONGEST_MONTHS, int((running / api).ln() / monthly.ln()))
