"""Intent and catalogue -> one model on every machine of the catalogue, ranked."""

import datetime as dt
from collections.abc import Mapping

from pydantic import JsonValue

from deploykit.catalog.catalog import Catalog
from deploykit.catalog.node import Node
from deploykit.intent import Intent
from deploykit.planning.search import Ranking, Rates, search
from deploykit.workflows.planning import make_request
from deploykit.workflows.pricing import hourly_costs


def rank_machines(
    catalog: Catalog, intent: Intent, *, set_settings: Mapping[str, JsonValue], now: dt.datetime
) -> Ranking:
    """Rank all machines with GPUs; raises CatalogError and UsageError as a plan does."""
    nodes = [node for name in catalog.names("nodes") if (node := catalog.node(name)).gpu is not None]
    first = make_request(catalog, intent, set_settings=set_settings, nodes=intent.nodes or 1, node=nodes[0].name)
    requests = [first.model_copy(update={"node": node}) for node in nodes]
    rates = {node.name: found for node in nodes if (found := _rates(node, intent, now)) is not None}
    return search(requests, rates)


def _rates(node: Node, intent: Intent, now: dt.datetime) -> Rates | None:
    """Return the cheapest and the dearest of a node's rates, and between them the one that a report leads with."""
    costs = hourly_costs(node, intent.cost, nodes=1, now=now)
    if not costs:
        return None
    every = [cost.usd_per_hour for cost in costs]
    return Rates(low=min(every), middle=every[0], high=max(every))
