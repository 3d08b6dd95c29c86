"""A node that is bought: the operator's figures, and where they are not said the profiles' -> what its hour costs."""

import datetime as dt
from decimal import Decimal

from deploykit.catalog.node import Node
from deploykit.catalog.ownership import Ownership
from deploykit.catalog.ranges import Range, point
from deploykit.cost_intent import CostIntent, OwnedIntent
from deploykit.costing.hourly import HourlyCost, Owned, central, usd_per_hour
from deploykit.errors import ComparisonError
from deploykit.measuring.measurements import Measurements
from deploykit.units import show_usd

RATE = "yours-owned"
_PERCENT = Decimal("0.01")


def owned_cost(
    node: Node,
    cost: CostIntent,
    ownership: Ownership,
    *,
    nodes: int,
    now: dt.datetime,
    measured: Measurements | None = None,
) -> HourlyCost:
    """Return the hour of a node that is bought; ComparisonError where nobody knows what the purchase costs."""
    owned = cost.owned or OwnedIntent()
    capex, source, as_of = _capex(node, owned, now.date())
    power, with_cooling = _power(node, owned, measured)

    def known(name: str) -> Range | None:
        given: Range | None = getattr(owned, name)
        assumed = getattr(ownership, name)
        return given if given is not None or assumed is None else assumed.value

    interest = known("interest_percent")
    terms = Owned(
        capex_usd=capex,
        resale_share=known("resale_share"),
        interest=None if interest is None else interest.times(_PERCENT),
        life_years=known("life_years") or ownership.life_years.value,
        power_kw=power,
        pue=point(1) if with_cooling and owned.pue is None else known("pue"),
        usd_per_kwh=known("usd_per_kwh"),
        colo_usd_per_kw_month=known("colo_usd_per_kw_month"),
        storage_usd_per_month=cost.storage_usd_per_month,
        network_usd_per_month=cost.network_usd_per_month,
        support_usd_per_month=cost.support_usd_per_month,
        ops_usd_per_month=cost.ops_usd_per_month,
    )
    return HourlyCost(
        usd_per_hour=usd_per_hour(terms, central(terms)), nodes=nodes, rate=RATE, provider="owned by you", kind="owned",
        source=source, as_of=as_of, terms=terms,
    )  # fmt: skip


def _capex(node: Node, owned: OwnedIntent, today: dt.date) -> tuple[Range, str, dt.date]:
    if owned.capex_usd is not None:
        return owned.capex_usd, "cost.owned.capex_usd", today
    whole = [purchase for purchase in node.purchases if purchase.covers == "node"]
    if whole:
        found = max(whole, key=lambda purchase: purchase.as_of)
        middle = (found.usd_low + found.usd_high) / 2
        return Range(low=found.usd_low, central=middle, high=found.usd_high), found.source, found.as_of
    parts = "; ".join(f"{p.item}: {show_usd(p.usd_high, digits=6)} ({p.source})" for p in node.purchases)
    raise ComparisonError(
        f"what it costs to buy `{node.name}` is unknown",
        detail=f"known is only {parts}" if parts else None,
        hint="say it: --capex 300000..350000, or `cost: {owned: {capex_usd: 300000..350000}}` in deploykit.yaml",
    )


def _power(node: Node, owned: OwnedIntent, measured: Measurements | None) -> tuple[Range | None, bool]:
    """Return what the node draws in kW, and whether cooling is in it already.

    A run's measured power of the GPUs, with the host's share of the node's maximum; else that maximum; else the GPUs'
    all-in power, which has cooling in it.
    """
    if owned.power_kw is not None:
        return owned.power_kw, False
    maximum, gpu = node.host.power_kw, node.gpu
    read = measured.priced.power if measured is not None else None
    if read is not None and read.valid and read.watts is not None and maximum and gpu and gpu.tdp_w:
        host = max(0.0, maximum - node.gpu_count * gpu.tdp_w / 1000)
        return point(Decimal(str(round(host + read.watts / 1000, 3)))), False
    if maximum is not None:
        return point(Decimal(str(maximum))), False
    if gpu is not None and gpu.all_in_kw is not None:
        return point(Decimal(str(gpu.all_in_kw)) * node.gpu_count), True
    return None, False
