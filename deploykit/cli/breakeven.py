"""`deploykit breakeven`: rent or buy against an API, from a run or from assumptions, with error bars."""

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, heading, prose, result, table

if TYPE_CHECKING:
    from deploykit.workflows.breakeven import BreakEven


def _option(name: str, says: str) -> Any:  # noqa: ANN401 - typer's own
    return typer.Option(name, metavar="RANGE", help=says, show_default=False)


_MOST_USD = Decimal(10**12)
"""A month: beyond every invoice there is."""


def breakeven(
    run: Annotated[
        str | None,
        typer.Argument(help="A run folder's name or path; without one, throughput is predicted.", show_default=False),
    ] = None,
    api_spend: Annotated[
        str | None,
        typer.Option(
            "--api-spend", metavar="USD", help="The API's invoice of a month: asks for the payback.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A model of `deploykit models`.", show_default=False)
    ] = None,
    node: options.NodeName = None,
    nodes: options.Nodes = None,
    workload: options.WorkloadName = None,
    slo: options.Slo = None,
    checkpoint: options.Checkpoint = None,
    offer: options.Offer = None,
    rate: options.Rate = None,
    busy: Annotated[str | None, _option("--busy", "Mean load over capacity, such as 0.3..0.8.")] = None,
    price_change: Annotated[
        str | None, _option("--price-change", "Change of the API's price a year in percent, such as -40..10.")
    ] = None,
    usd_per_hour: Annotated[str | None, _option("--usd-per-hour", "Your own rate of one node.")] = None,
    capex: Annotated[str | None, _option("--capex", "What one node costs to buy, USD.")] = None,
    resale: Annotated[str | None, _option("--resale", "Share of it that is got back at the end.")] = None,
    interest: Annotated[str | None, _option("--interest", "Cost of capital a year, in percent.")] = None,
    life: Annotated[str | None, _option("--life", "Years that it is used.")] = None,
    kw: Annotated[str | None, _option("--kw", "Power of one node, without cooling.")] = None,
    pue: Annotated[str | None, _option("--pue", "Power of the building over that of its machines.")] = None,
    kwh: Annotated[str | None, _option("--kwh", "USD per kWh.")] = None,
    colo: Annotated[str | None, _option("--colo", "Colocation, USD per kW and month.")] = None,
    ops: Annotated[str | None, _option("--ops", "People, USD per node and month.")] = None,
    tokens_per_s: Annotated[
        str | None, _option("--tokens-per-s", "Input and output tokens/s of all nodes, instead of a prediction.")
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            metavar="NAME[=RANGE]",
            help="Suppose a gain of profiles/scenarios, with your own factor where none is known; may be repeated.",
            show_default=False,
        ),
    ] = None,
    file: options.File = None,
    *,
    json: options.Json = False,
) -> None:
    """Say when your own nodes pay off against an API: costs per token, break-even, payback. It may say never.

    A RANGE is a number, `low..high` or `low..central..high`.
    """
    from deploykit.cli.context import Context, parse_slo
    from deploykit.errors import UsageError
    from deploykit.workflows.breakeven import Question, from_assumptions, from_run

    question = Question(
        api_usd_per_month=_usd(api_spend),
        tokens_per_s=_range("--tokens-per-s", tokens_per_s),
        scenarios=_scenarios(scenario),
    )
    owned = {
        "capex_usd": capex, "resale_share": resale, "interest_percent": interest, "life_years": life, "power_kw": kw,
        "pue": pue, "usd_per_kwh": kwh, "colo_usd_per_kw_month": colo,
    }  # fmt: skip
    cost = {
        "rates": rate, "offers": offer, "busy": busy, "price_change_percent": price_change,
        "usd_per_node_hour": usd_per_hour, "ops_usd_per_month": ops, "owned": _given(owned),
    }  # fmt: skip
    wanted: dict[str, Any] = {
        "model": model, "node": node, "nodes": nodes, "workload": workload, "checkpoint": checkpoint,
        "slo": parse_slo(slo), "cost": _given(cost),
    }  # fmt: skip
    context = Context()
    now = dt.datetime.now(dt.UTC)
    if run is None:
        found = from_assumptions(context.catalog, context.intent(file, wanted).intent, question, now=now)
    else:
        assumed = ("model", "node", "nodes", "workload", "slo", "checkpoint")
        if any(wanted[name] is not None for name in assumed) or tokens_per_s is not None:
            raise UsageError(
                "a run has its model, node and throughput",
                hint=f"leave away --{', --'.join(assumed)} and --tokens-per-s",
            )
        intent = context.intent(file, {"cost": _given(cost)}).intent
        found = from_run(context.catalog, context.runs.open(run), intent.cost, question, now=now)
    if json:
        envelope("breakeven", found.as_data())
    else:
        _show(found)


def _given(values: dict[str, Any]) -> dict[str, Any] | None:
    return {key: value for key, value in values.items() if value} or None


def _usd(text: str | None) -> Decimal | None:
    from deploykit.errors import UsageError

    if text is None:
        return None
    try:
        amount = Decimal(text.removeprefix("$").replace(",", ""))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 < amount <= _MOST_USD:
        raise UsageError(
            f"`--api-spend {text[:40]}` is not an amount above zero and up to {_MOST_USD:,}",
            hint="USD a month, such as --api-spend 5000",
        )
    return amount


def _scenarios(given: list[str] | None) -> dict[str, Any]:
    from deploykit.errors import UsageError

    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, factor = text.partition("=")
        if name in found:
            raise UsageError(f"`--scenario {name}` is given twice", hint="give it once")
        found[name] = _range(f"--scenario {name}", factor) if equals else None
    return found


def _range(option: str, text: str | None) -> Any:  # noqa: ANN401 - a Range; it is imported late
    from pydantic import ValidationError

    from deploykit.catalog.ranges import Range, within
    from deploykit.errors import UsageError

    if text is None:
        return None
    try:
        found = Range.model_validate(text)
        within(found, 0, above=True)
    except (ValidationError, ValueError):
        raise UsageError(f"`{option} {text[:40]}` is not a number above zero", hint="such as 1.5 or 1.4..3") from None
    return found


def _show(found: "BreakEven") -> None:
    from deploykit.costing.decision_words import two
    from deploykit.reporting.decided import hour_table, staircase_table, tornado_table

    where = f"{found.nodes} x {found.node}" if found.nodes > 1 else found.node
    first = found.decisions[0]
    prose(first.says[0])
    prose(f"\n{found.title} on {where}; {found.basis}. Mix: {first.mix}.")
    for made in found.decisions:
        heading(f"{made.label} against {made.price.title}")
        if made.gains:
            supposed = ", ".join(f"`{name}` x {two(gain.low)} to {two(gain.high)}" for name, gain in made.gains.items())
            prose(f"  Supposed, and not measured here: {supposed}.")
        for text in made.says if made is not first else made.says[1:]:
            prose(f"  {text}")
        for part in (hour_table(made), staircase_table(made), tornado_table(made)):
            if part.rows:
                right = tuple(name for name, side in zip(part.header, part.align, strict=True) if side == "r")
                result(f"\n{part.caption}")
                table(part.header, part.rows, right=right)
    caveats = dict.fromkeys([*found.caveats, *(c for made in found.decisions for c in made.caveats)])
    if caveats:
        heading("Doubts")
        table(("weight", "says"), [(c.weight.value, c.says) for c in caveats])
