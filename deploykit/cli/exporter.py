"""`deploykit exporter`: the live meter, for a Prometheus to read."""

import re
import time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import say
from deploykit.errors import CatalogError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deploykit.catalog.price import ApiPrice
    from deploykit.cli.context import Context
    from deploykit.cost_intent import CostIntent
    from deploykit.costing.hourly import HourlyCost
    from deploykit.deploying.record import DeploymentRecord
    from deploykit.planning.plan import Plan
    from deploykit.workflows.metering import Metered

_STEP_S = 0.2
"""How soon a signal is heard while nothing is to be done."""


def exporter(
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            metavar="URL",
            help="An engine whose counters are read; may be repeated.",
            show_default="the deployment's",
        ),
    ] = None,
    deployment: Annotated[
        str | None,
        typer.Option("--deployment", help="A deployment of ours: its engine, rates and offers.", show_default=False),
    ] = None,
    usd_per_hour: Annotated[
        str | None,
        typer.Option("--usd-per-hour", metavar="USD", help="What an hour of all nodes costs.", show_default=False),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option("--rate", help="A rate of the deployment's node.", show_default="the headline rate"),
    ] = None,
    offer: options.Offer = None,
    capacity: Annotated[
        float | None,
        typer.Option(
            "--capacity",
            metavar="TOKENS/S",
            help="What the engines can serve within the SLO, input and output tokens together.",
            show_default="what the deployment's last load test measured",
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where the series are served.")] = 9109,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    interval: Annotated[float, typer.Option("--interval", min=1, max=120, help="Seconds between two looks.")] = 15,
) -> None:
    """Meter engines until Ctrl-C or SIGTERM: dollars per hour and per million tokens, beside the API's price of the same."""
    from deploykit import paths
    from deploykit.cli.context import Context
    from deploykit.effects.clock import SystemClock
    from deploykit.effects.deployment_secrets import caller_secrets
    from deploykit.effects.engine_reader import EngineReader
    from deploykit.effects.lock import locked
    from deploykit.effects.meter_metrics import MeterMetrics, serving
    from deploykit.effects.meter_state import FileMeterStore
    from deploykit.effects.prometheus import PrometheusMetrics
    from deploykit.effects.signals import interrupts
    from deploykit.workflows.metering import MeterPorts, meter

    context = Context()
    metered = _metered(context, engine or [], deployment, usd_per_hour, rate, offer, capacity, name=f"port-{port}")
    key = caller_secrets(context.secrets, ()).caller_key
    release = context.catalog.engine(context.defaults["intent"]["engine"])
    folder = paths.data_dir() / "meters" / metered.name
    shown = MeterMetrics(metered)
    with locked(folder, "deploykit exporter"), interrupts() as received, serving(shown, port, host):
        ports = MeterPorts(
            reader=EngineReader(PrometheusMetrics(release.metrics, key)),
            store=FileMeterStore(folder),
            clock=SystemClock(),
            note=say,
        )
        say(f"metering {', '.join(metered.engines)} at http://{_in_address(host)}:{port}/metrics; Ctrl-C ends it")
        meter(metered, ports, show=shown.show, wait=_waiting(interval, received))


def _metered(
    context: "Context",
    engines: list[str],
    deployment: str | None,
    usd_per_hour: str | None,
    rate: str | None,
    offers: list[str] | None,
    capacity: float | None,
    *,
    name: str,
) -> "Metered":
    from deploykit.cli.load_targets import base_url_of
    from deploykit.workflows.metering import Metered

    if capacity is not None and not 0 < capacity < float("inf"):
        raise UsageError("--capacity is not above 0", hint="tokens per second, such as --capacity 36000")
    if usd_per_hour is not None and rate is not None:
        raise UsageError("--usd-per-hour and --rate exclude each other", hint="a rate says what an hour costs")
    addresses = tuple(dict.fromkeys(base_url_of(address.removesuffix("/metrics")) for address in engines))
    stated = None if usd_per_hour is None else _usd(usd_per_hour)
    if deployment is None:
        if not addresses:
            raise UsageError("nothing to meter", hint="name engines with --engine URL, or a --deployment")
        if rate is not None:
            raise UsageError(
                "--rate is of a deployment's node", hint="name one with --deployment, or say --usd-per-hour"
            )
        named = tuple(context.catalog.price(one) for one in dict.fromkeys(offers or ()))
        _tell_unpriced(stated)
        return Metered(
            name=name, engines=addresses, usd_per_hour=stated, rate="stated" if stated is not None else None,
            capacity_tokens_per_s=_decimal(capacity), offers=named,
        )  # fmt: skip
    record = context.records.get(deployment)
    run = context.runs.open(record.run)
    plan = _plan(record, run.directory, context)
    hourly = None if stated is not None else _hourly(context, plan, rate)
    cost = context.cost(None, list(dict.fromkeys(offers or ())))
    _tell_unpriced(stated if hourly is None else hourly.usd_per_hour)
    return Metered(
        name=record.name,
        engines=addresses or _engines(context, record),
        usd_per_hour=stated if hourly is None else hourly.usd_per_hour * hourly.nodes,
        rate="stated" if stated is not None else hourly.rate if hourly else None,
        capacity_tokens_per_s=_decimal(capacity) if capacity is not None else _measured(context, plan),
        offers=_offers(context, plan, cost),
        rehearsal=plan.stand_in is not None,
    )


def _plan(record: "DeploymentRecord", folder: "Path", context: "Context") -> "Plan":
    from deploykit.planning.plan import Plan

    if not (folder / "plan.json").is_file():
        raise CatalogError(f"the last `up` of `{record.name}` left no plan", hint="run `deploykit up` first")
    return context.runs.open(record.run).read("plan.json", Plan)


def _engines(context: "Context", record: "DeploymentRecord") -> tuple[str, ...]:
    from deploykit.deploying.deployment import Deployment

    if record.variables.get("gateway_enabled"):
        raise UsageError(
            f"the gateway of `{record.name}` hides its engines' counters",
            hint="run the exporter on the first node and name each engine with --engine; their addresses are those of "
            "the job `engine` in the run's bundle/monitoring/prometheus.yml",
        )
    run = context.runs.open(record.run)
    if not run.path("deployment.json").is_file():
        raise CatalogError(f"the last `up` of `{record.name}` did not get to serving", hint="run `deploykit up` first")
    return (run.read("deployment.json", Deployment).endpoint,)


def _hourly(context: "Context", plan: "Plan", rate: str | None) -> "HourlyCost | None":
    import datetime as dt

    from deploykit.workflows.pricing import hourly_costs

    cost = context.cost([rate] if rate else None, None)
    if rate is not None:
        cost = cost.model_copy(update={"usd_per_node_hour": None})
    found = hourly_costs(context.catalog.node(plan.node), cost, nodes=plan.nodes, now=dt.datetime.now(dt.UTC))
    return next(iter(found), None)


def _offers(context: "Context", plan: "Plan", cost: "CostIntent") -> "tuple[ApiPrice, ...]":
    import datetime as dt

    from deploykit.workflows.pricing import offers

    found = offers(context.catalog, plan.model, cost, today=dt.datetime.now(dt.UTC).date())
    return tuple(offer for offer in found if offer.status != "retired" or offer.name in cost.offers)


def _measured(context: "Context", plan: "Plan") -> Decimal | None:
    """Return the most tokens per second that an earlier run of the same thing served within its SLO."""
    from deploykit.workflows.history import measured_here

    found = measured_here(context.runs, plan)
    within = [stage.total_tokens_per_s for stage in found.stages if stage.slo_met] if found else []
    return _decimal(max(within, default=None))


def _tell_unpriced(usd: Decimal | None) -> None:
    if usd is None:
        say("what an hour costs is not known, so no dollars of ours are shown: say it with --usd-per-hour")


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not re.fullmatch(r"\$?[0-9.]+", text) or not amount > 0:
        raise UsageError(f"--usd-per-hour {text} is not an amount above 0", hint="such as --usd-per-hour 16.00")
    return amount


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _waiting(interval_s: float, received: list[int]) -> "Callable[[], bool]":
    """Return what waits until the next look and says whether a signal came; looks do not drift."""
    due = time.monotonic()

    def wait() -> bool:
        nonlocal due
        due = max(due + interval_s, time.monotonic())
        while not received and (left := due - time.monotonic()) > 0:
            time.sleep(min(_STEP_S, left))
        return bool(received)

    return wait
