"""What `deploykit loadtest` measures: a deployment of ours, or an address."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deploykit.cli.console import envelope, prose, say
from deploykit.errors import CatalogError, StorageError, UsageError

if TYPE_CHECKING:
    from deploykit.catalog.workload import Workload
    from deploykit.cli.context import Context
    from deploykit.cost_intent import CostIntent
    from deploykit.deploying.deployment import Deployment
    from deploykit.deploying.record import DeploymentRecord
    from deploykit.workflows.engine_end import Site
    from deploykit.workflows.loadtest import Endpoint
    from deploykit.workflows.ports import PowerMeter, Progress
    from deploykit.workflows.trials import Load

Decide = Callable[[str], "tuple[Workload, Load]"]
"""Returns what is put on, given the name of the workload that is taken where none is named."""
Watchers = tuple[Callable[["Progress"], None], ...]


def deployment(
    context: "Context",
    name: str | None,
    decide: Decide,
    cost: "CostIntent",
    watchers: Watchers,
    meter: "PowerMeter | None",
    *,
    as_json: bool,
) -> None:
    """Measure a deployment, with its own workload or another, and report it in a new run folder."""
    import datetime as dt

    from deploykit.cli.progress import reporter
    from deploykit.deploying.deployment import Deployment
    from deploykit.effects.deployment_secrets import caller_secrets
    from deploykit.effects.lock import locked
    from deploykit.planning.plan import Plan
    from deploykit.rendering.bundle import Manifest
    from deploykit.reporting.markdown import summary
    from deploykit.workflows.engine_end import Site
    from deploykit.workflows.measuring import measure_and_report
    from deploykit.workflows.planning import refuse_for_real
    from deploykit.workflows.pricing import check

    known = context.records.get(name).name
    with locked(context.records.folder(known), "deploykit loadtest"), reporter() as shown:
        record = context.records.get(known)  # nobody changes it from here on
        before = context.runs.open(record.run)
        if not before.path("deployment.json").is_file():
            raise CatalogError(f"the last `up` of `{known}` did not get to serving", hint="run `deploykit up` first")
        plan, deployed = before.read("plan.json", Plan), before.read("deployment.json", Deployment)
        check(context.catalog, context.catalog.node(plan.node), plan.model, cost, dt.datetime.now(dt.UTC))
        traffic, load = decide(plan.workload)
        refuse_for_real(traffic, rehearsal=plan.stand_in is not None)
        at_home = record.variables.get("deploykit_supervision") == "supervisord"
        secrets = caller_secrets(context.secrets, record.callers, at_home=at_home)
        world = context.world(shown, secrets=secrets, what="deploykit loadtest")
        world = replace(world, load_watchers=watchers, power=meter)
        run = context.runs.create(model=plan.model, node=plan.node, now=world.clock.now())
        run.write("plan.json", plan)
        run.write("bundle/manifest.json", before.read("bundle/manifest.json", Manifest))
        run.write("deployment.json", deployed)
        site = Site(inventory=Path(record.inventory), variables=record.variables)
        made = measure_and_report(
            run,
            _endpoint(record, deployed, site),
            traffic,
            site=site,
            catalog=context.catalog,
            cost=cost,
            world=world,
            load=load,
        )
    if as_json:
        envelope("report", made.as_data())
        return
    prose(summary(made))
    say(f"\nreport    {run.path('report.html')}")


def address(
    context: "Context",
    url: str,
    model: str | None,
    decide: Decide,
    watchers: Watchers,
    meter: "PowerMeter | None",
    *,
    as_json: bool,
) -> None:
    """Measure what an OpenAI-compatible address serves."""
    from deploykit.cli.progress import reporter
    from deploykit.effects.deployment_secrets import caller_secrets
    from deploykit.effects.served_models import served_models
    from deploykit.reporting.loadtest_report import loadtest_summary
    from deploykit.workflows.loadtest import Endpoint
    from deploykit.workflows.measuring import measure_address

    base_url = base_url_of(url)
    secrets = caller_secrets(context.secrets, ())
    traffic, load = decide("chat")
    with reporter() as shown:
        chosen = model or only_model(served_models(base_url, api_key=secrets.caller_key), base_url)
        endpoint = Endpoint(base_url=base_url, model=chosen, metrics_urls=(base_url,))
        world = replace(
            context.world(shown, secrets=secrets, what="deploykit loadtest"), load_watchers=watchers, power=meter
        )
        run = context.runs.create(model=_slug(chosen), node=_slug(base_url.split("://")[1]), now=world.clock.now())
        made = measure_address(run, endpoint, traffic, load, world)
    if as_json:
        envelope("loadtest-report", made.as_data())
        return
    prose(loadtest_summary(made))
    say(f"\nreport    {run.path('report.html')}")


def base_url_of(url: str) -> str:
    """Return an address without its end: `/v1`, or the path of chat completions, which people paste along."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    try:
        wrong = (
            parts.scheme not in {"http", "https"} or not parts.hostname or (parts.port is not None and not parts.port)
        )
    except ValueError:
        wrong = True
    if wrong or parts.query or parts.fragment or parts.username is not None:
        shown = "the address" if parts.username is not None else f"`{url}`"
        raise UsageError(
            f"{shown} is not an http or https address",
            hint="such as http://host:8000; a key goes into DEPLOYKIT_API_KEY",
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def only_model(models: tuple[str, ...], base_url: str) -> str:
    """Return the one model that an address serves; UsageError if there are more, or none."""
    if len(models) == 1:
        return models[0]
    named = ", ".join(models[:10]) + (" and more" if len(models) > 10 else "")
    raise UsageError(
        f"{base_url} serves {len(models)} models", hint=f"choose one with --model: {named or 'none is told'}"
    )


def _slug(text: str) -> str:
    import re

    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:60] or "unnamed"


def _endpoint(record: "DeploymentRecord", deployed: "Deployment", site: "Site") -> "Endpoint":
    """Return what callers of a deployment use; behind a gateway the engines' counters are read on their hosts."""
    from deploykit.workflows.loadtest import Endpoint

    if record.authority is not None and not Path(record.authority).is_file():
        raise StorageError(
            f"{record.authority} is gone: the root that the gateway's certificate leads to",
            hint="`deploykit up` fetches it again",
        )
    gateway = bool(record.variables.get("gateway_enabled"))
    return Endpoint(
        base_url=deployed.endpoint,
        model=deployed.served_model_name,
        metrics_urls=() if gateway else (deployed.endpoint,),
        hidden=site if gateway else None,
        authority=record.authority,
    )
