"""Intent and catalogue -> the hourly rates and API offers that a measurement is priced with."""

import datetime as dt
import re
from decimal import Decimal

from deploykit.catalog.catalog import Catalog, unknown_name
from deploykit.catalog.node import Node, NodeRate
from deploykit.catalog.ownership import Ownership
from deploykit.catalog.price import ApiPrice, PricePeriod
from deploykit.catalog.ranges import Range, point
from deploykit.cost_intent import CostIntent, QuoteIntent
from deploykit.costing.hourly import HourlyCost, Rented, central, usd_per_hour
from deploykit.costing.pricing import Pricing
from deploykit.errors import ComparisonError
from deploykit.measuring.measurements import Measurements
from deploykit.planning.plan import Plan
from deploykit.workflows.owning import owned_cost

SHOWN_RATES = 6
FRESH = dt.timedelta(days=120)
"""A rate read longer ago is not the headline while there is a newer one."""


def hourly_costs(
    node: Node,
    cost: CostIntent,
    *,
    nodes: int,
    now: dt.datetime,
    ownership: Ownership | None = None,
    measured: Measurements | None = None,
) -> tuple[HourlyCost, ...]:
    """Return the rates to price with; the first is the headline.

    The operator's own rate comes first, then the node they own, then the rates named, else the node's current rates with
    the median on-demand rate first, so that the headline is neither the best nor the worst offer of the day. `ownership`
    is what owning costs beside the purchase; without it no owned node is reckoned.
    """
    bought = (
        (owned_cost(node, cost, ownership, nodes=nodes, now=now, measured=measured),)
        if cost.owned is not None and ownership is not None
        else ()
    )
    own = _own_rate(node, cost)
    if own is not None:
        rent = HourlyCost(
            usd_per_hour=own.central, nodes=nodes, rate="yours", provider=cost.provider or "you", kind="stated",
            source="deploykit.yaml, `cost`", as_of=now.date(),
        )  # fmt: skip
        return (_with_terms(rent, own, cost), *bought)
    rates = _named(node, cost.rates) if cost.rates else _median_first(node, now.date())
    priced = [(rate, node.usd_per_hour(rate)) for rate in rates]
    return (
        *bought,
        *(_with_terms(_hourly(rate, usd, nodes), point(usd), cost) for rate, usd in priced if usd is not None),
    )


def _own_rate(node: Node, cost: CostIntent) -> Range | None:
    """Return the operator's own rate of a whole node."""
    if cost.usd_per_gpu_hour is not None:
        return cost.usd_per_gpu_hour.times(Decimal(max(1, node.gpu_count)))
    return cost.usd_per_node_hour


def _with_terms(hourly: HourlyCost, rent: Range, cost: CostIntent) -> HourlyCost:
    """Add what the operator pays beside the rent."""
    terms = Rented(
        usd_per_hour=rent,
        storage_usd_per_month=cost.storage_usd_per_month,
        network_usd_per_month=cost.network_usd_per_month,
        support_usd_per_month=cost.support_usd_per_month,
        ops_usd_per_month=cost.ops_usd_per_month,
    )
    return hourly.model_copy(update={"terms": terms, "usd_per_hour": usd_per_hour(terms, central(terms))})


def standing_rate(node: Node, cost: CostIntent, *, nodes: int, ownership: Ownership | None = None) -> HourlyCost | None:
    """Return the headline rate by the facts alone, as of the newest of them: the same on every day."""
    newest = max((rate.as_of for rate in node.rates), default=dt.date.min)
    now = dt.datetime.combine(newest, dt.time(), tzinfo=dt.UTC)
    return next(iter(hourly_costs(node, cost, nodes=nodes, now=now, ownership=ownership)), None)


def offers(catalog: Catalog, model: str, cost: CostIntent, *, today: dt.date) -> tuple[ApiPrice, ...]:
    """Return the offers to compare with: your quotes, then those named, else the model's own, then comparable models'.

    A quote that still holds replaces the list prices of its provider for the model.
    """
    quotes = tuple(_quoted(catalog, model, quote, today) for quote in cost.quotes)
    if cost.offers:
        return (*quotes, *(catalog.price(name) for name in cost.offers))
    every = [catalog.price(name) for name in catalog.names("prices")]
    replaced = {quote.provider for quote in cost.quotes if quote.valid_until >= today}
    own = [offer for offer in every if offer.serves == model and offer.provider not in replaced]
    comparable = [offer for offer in every if offer.serves != model and model in offer.comparable]
    return (*quotes, *own, *comparable)


def price_inputs(
    catalog: Catalog,
    plan: Plan,
    cost: CostIntent,
    *,
    now: dt.datetime,
    measured: Measurements | None = None,
) -> Pricing:
    """Return all that a run is priced with, as it is written into its folder."""
    return Pricing(
        model=plan.model,
        rehearsal=plan.stand_in is not None,
        hourly=hourly_costs(
            catalog.node(plan.node), cost, nodes=plan.nodes, now=now, ownership=catalog.ownership(), measured=measured
        ),
        offers=offers(catalog, plan.model, cost, today=now.date()),
        against=cost.offers,
        busy=cost.busy,
        traffic=cost.traffic,
        price_change_percent=cost.price_change_percent,
    )


def _quoted(catalog: Catalog, model: str, quote: QuoteIntent, today: dt.date) -> ApiPrice:
    """Return a quote as an offer; peak hours and context tiers are not in it."""
    title = catalog.model(model).title if model in catalog.names("models") else model
    name = re.sub(r"[^a-z0-9]+", "-", quote.provider.lower()).strip("-") or "provider"
    period = PricePeriod(
        start=None, end=quote.valid_until, usd_per_m=quote.usd_per_m, source=quote.reference,
        as_of=min(today, quote.valid_until),
    )  # fmt: skip
    return ApiPrice(
        name=f"quote-{name}", title=f"{title} at {quote.provider}, your quote", provider=quote.provider,
        api_model=f"{model}, your quote", serves=model, periods=(period,),
    )  # fmt: skip


def check(catalog: Catalog, node: Node, model: str, cost: CostIntent, now: dt.datetime) -> None:
    """Raise what pricing would raise at the end of the road, before its first step; ComparisonError or CatalogError."""
    if not hourly_costs(node, cost, nodes=1, now=now, ownership=catalog.ownership()):
        raise ComparisonError(
            f"what an hour of `{node.name}` costs is unknown",
            hint="state yours: `cost: {usd_per_node_hour: 16.00}` in deploykit.yaml",
        )
    if not offers(catalog, model, cost, today=now.date()):
        raise ComparisonError(
            f"no API offer serves `{model}`", hint="name one to compare with: --offer NAME, from `deploykit prices`"
        )


def _named(node: Node, names: tuple[str, ...]) -> tuple[NodeRate, ...]:
    known = {rate.name: rate for rate in node.rates}
    for name in names:
        if name not in known:
            raise ComparisonError(f"`{node.name}` has no rate `{name}`", hint=unknown_name("rates", name, known).hint)
    return tuple(known[name] for name in names)


def _median_first(node: Node, today: dt.date) -> tuple[NodeRate, ...]:
    priced = [(usd, rate) for rate in node.current_rates(today) if (usd := node.usd_per_hour(rate)) is not None]
    priced.sort(key=lambda pair: pair[0])
    on_demand = [rate for _usd, rate in priced if rate.kind == "on-demand"]
    market = [rate for rate in on_demand if today - rate.as_of <= FRESH] or on_demand or [rate for _usd, rate in priced]
    if not market:
        return ()
    headline = market[len(market) // 2]
    return (headline, *_spread([rate for _usd, rate in priced if rate is not headline], SHOWN_RATES - 1))


def _spread(rates: list[NodeRate], count: int) -> list[NodeRate]:
    """Return so many of the rates, from the cheapest to the dearest in even steps."""
    if len(rates) <= count:
        return rates
    return [rates[round(i * (len(rates) - 1) / (count - 1))] for i in range(count)]


def _hourly(rate: NodeRate, usd_per_node_hour: Decimal, nodes: int) -> HourlyCost:
    return HourlyCost(
        usd_per_hour=usd_per_node_hour, nodes=nodes, rate=rate.name, provider=rate.provider, kind=rate.kind,
        source=rate.source, as_of=rate.as_of,
    )  # fmt: skip
