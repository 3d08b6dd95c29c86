"""Rent or buy against an API: decisions from a run folder, or from assumptions without one."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.catalog import Catalog
from deploykit.catalog.node import Node
from deploykit.catalog.ranges import Range
from deploykit.caveat import Caveat
from deploykit.cost_intent import CostIntent, OwnedIntent
from deploykit.costing.comparison import say_mix
from deploykit.costing.deciding import Served, decisions, served_by
from deploykit.costing.decision import Decision
from deploykit.costing.pricing import Pricing
from deploykit.costing.scenarios import Supposed, gains
from deploykit.errors import UsageError
from deploykit.intent import Intent
from deploykit.measuring.measurements import Measurements
from deploykit.planning.plan import Plan
from deploykit.workflows.assumed import assume
from deploykit.workflows.planning import make_plan
from deploykit.workflows.pricing import price_inputs
from deploykit.workflows.remake import read_found
from deploykit.workflows.stores import RunFolder


class Question(Value):
    """What is asked beyond the intent."""

    api_usd_per_month: Decimal | None = Field(None, description="What the API's invoice is now.")
    tokens_per_s: Range | None = Field(None, description="Input and output; instead of a prediction.")
    scenarios: dict[str, Range | None] = Field({}, description="By name, each with the operator's own factor or none.")


class BreakEven(Value):
    """`deploykit breakeven`: every way to pay for the hardware, against each offer."""

    format: Literal["deploykit/breakeven/1"] = "deploykit/breakeven/1"
    model: str
    title: str
    node: str
    nodes: int
    basis: str = Field(description="Where throughput and mix are from.")
    decisions: tuple[Decision, ...] = Field(min_length=1, description="The answer first.")
    caveats: tuple[Caveat, ...] = Field(description="Of the throughput; each decision has its own.")


def from_assumptions(catalog: Catalog, intent: Intent, question: Question, *, now: dt.datetime) -> BreakEven:
    """Plan, predict and decide; raises what planning raises, and ComparisonError where a price is not known."""
    node = catalog.node(intent.node)
    if node.status == "this-machine":
        raise UsageError(
            "a rehearsal on this machine says nothing about costs",
            hint="name the machine with --node; `deploykit nodes` lists them",
        )
    planned = make_plan(catalog, intent, set_settings={}, nodes=intent.nodes or 1)
    plan = planned.plan
    known = assume(catalog, plan, planned.workload, at=now, tokens_per_s=question.tokens_per_s)
    pricing = price_inputs(catalog, plan, _with_owned(node, intent.cost, question), now=now)
    served = Served(
        usage=(known.usage,),
        tokens=known.tokens,
        capacity=known.capacity,
        mix=say_mix(known.tokens, cached_known=True),
        when=now.date(),
        ago="ago",
    )
    return _told(
        plan,
        f"no run: tokens of {known.of}; " + (known.capacity.says if known.capacity else "throughput unknown"),
        _decided(catalog, plan, pricing, served, question),
        known.caveats,
    )


def from_run(catalog: Catalog, run: RunFolder, cost: CostIntent, question: Question, *, now: dt.datetime) -> BreakEven:
    """Decide by what a run measured; raises StorageError for a folder without measurements, UsageError for that of an address."""
    if not run.path("plan.json").is_file():
        raise UsageError(
            f"{run.directory.name} measured an address: nobody knows what serves there, nor what its hour costs",
            hint="say what it is instead: --model, --node and --tokens-per-s, without a run",
        )
    plan, measured = run.read("plan.json", Plan), run.read("measurements.json", Measurements)
    found = read_found(run)
    owned = _with_owned(catalog.node(plan.node), cost, question)
    pricing = price_inputs(catalog, plan, owned, now=now, measured=measured)
    served = served_by(measured, found.repeated)
    basis = f"run {run.directory.name}, load test {measured.verdict}, {measured.priced.describes}"
    return _told(plan, basis, _decided(catalog, plan, pricing, served, question), measured.caveats)


def _decided(
    catalog: Catalog, plan: Plan, pricing: Pricing, served: Served, question: Question
) -> tuple[Decision, ...]:
    supposed = tuple(Supposed(scenario=catalog.scenario(name), own=own) for name, own in question.scenarios.items())
    return decisions(
        pricing,
        served,
        api_usd_per_month=question.api_usd_per_month,
        gains=gains(supposed, tokens=served.tokens, model=plan.model, node=plan.node),
    )


def _told(plan: Plan, basis: str, made: tuple[Decision, ...], caveats: tuple[Caveat, ...]) -> BreakEven:
    return BreakEven(
        model=plan.model,
        title=plan.title,
        node=plan.node,
        nodes=plan.nodes,
        basis=basis,
        decisions=made,
        caveats=caveats,
    )


def _with_owned(node: Node, cost: CostIntent, question: Question) -> CostIntent:
    """Ask for the owned node too, where a payback is asked for or its purchase is known; not beside named rates."""
    if cost.owned is not None or cost.rates:
        return cost
    known = any(purchase.covers == "node" for purchase in node.purchases)
    stated = cost.usd_per_node_hour is not None or cost.usd_per_gpu_hour is not None
    if not known and (stated or question.api_usd_per_month is None):
        return cost
    return cost.model_copy(update={"owned": OwnedIntent()})
