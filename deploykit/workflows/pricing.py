"""Intent and catalogue -> the hourly rates and API offers that a measurement is priced with."""

import datetime as dt
from decimal import Decimal

from deploykit.catalog.catalog import Catalog, unknown_name
from deploykit.catalog.node import Node, NodeRate
from deploykit.catalog.price import ApiPrice
from deploykit.errors import ComparisonError
from deploykit.intent import CostIntent
from deploykit.measuring.measurements import HourlyCost

SHOWN_RATES = 6
FRESH = dt.timedelta(days=120)
"""A rate read longer ago is not the headline while there is a newer one."""


def hourly_costs(node: Node, cost: CostIntent, *, nodes: int, now: dt.datetime) -> tuple[HourlyCost, ...]:
    """Return the rates to price with; the first is the headline.

    The operator's own rate comes first, then the rates named, else the node's current rates with the median
    on-demand rate first, so that the headline is neither the best nor the worst offer of the day.
    """
    if cost.usd_per_node_hour is not None:
        own = HourlyCost(
            usd_per_hour=cost.usd_per_node_hour, nodes=nodes, rate="yours", provider="you", kind="stated",
            source="cost.usd_per_node_hour", as_of=now.date(),
        )  # fmt: skip
        return (own,)
    rates = _named(node, cost.rates) if cost.rates else _median_first(node, now.date())
    priced = [(rate, node.usd_per_hour(rate)) for rate in rates]
    return tuple(_hourly(rate, usd, nodes) for rate, usd in priced if usd is not None)


def standing_rate(node: Node, cost: CostIntent, *, nodes: int) -> HourlyCost | None:
    """Return the headline rate by the facts alone, as of the newest of them: the same on every day."""
    newest = max((rate.as_of for rate in node.rates), default=dt.date.min)
    now = dt.datetime.combine(newest, dt.time(), tzinfo=dt.UTC)
    return next(iter(hourly_costs(node, cost, nodes=nodes, now=now)), None)


def offers(catalog: Catalog, model: str, cost: CostIntent) -> tuple[ApiPrice, ...]:
    """Return the offers to compare with: those named, else the model's own, then those of comparable models."""
    if cost.offers:
        return tuple(catalog.price(name) for name in cost.offers)
    every = [catalog.price(name) for name in catalog.names("prices")]
    own = [offer for offer in every if offer.serves == model]
    comparable = [offer for offer in every if offer.serves != model and model in offer.comparable]
    return (*own, *comparable)


def check(catalog: Catalog, node: Node, model: str, cost: CostIntent, now: dt.datetime) -> None:
    """Raise what pricing would raise at the end of the road, before its first step; ComparisonError or CatalogError."""
    if not hourly_costs(node, cost, nodes=1, now=now):
        raise ComparisonError(
            f"what an hour of `{node.name}` costs is unknown",
            hint="state yours: `cost: {usd_per_node_hour: 16.00}` in deploykit.yaml",
        )
    if not offers(catalog, model, cost):
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
