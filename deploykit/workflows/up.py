"""The whole road: plan, bundle, provision, load test, report. What was done before is not done again."""

from dataclasses import dataclass, replace
from pathlib import Path

from deploykit.catalog.catalog import Catalog
from deploykit.deploying.deployment import Deployment
from deploykit.deploying.record import DeploymentRecord
from deploykit.deploying.remembered import compared, remembered
from deploykit.errors import DeploymentError
from deploykit.intent import GatewayIntent, Intent
from deploykit.rendering.bundle import Bundle
from deploykit.rendering.layout import bracketed
from deploykit.reporting.report import Report
from deploykit.workflows.bundling import has_gateway, make_bundle
from deploykit.workflows.dashboards import publish_dashboard
from deploykit.workflows.deploy import Places, deploy, playbook_variables
from deploykit.workflows.engine_end import Site
from deploykit.workflows.loadtest import Endpoint
from deploykit.workflows.measuring import ONCE, measure_and_report
from deploykit.workflows.planning import Planned
from deploykit.workflows.pricing import check
from deploykit.workflows.restore import UNTOUCHED
from deploykit.workflows.stores import RunFolder
from deploykit.workflows.target import Target
from deploykit.workflows.trials import Load
from deploykit.workflows.world import World

AUTHORITY = "gateway-ca.pem"
"""Where the playbooks put the root of a gateway's own authority, in the run folder."""


@dataclass(frozen=True)
class Arrival:
    """Where `up` ended."""

    planned: Planned
    deployment: Deployment
    run: Path
    report: Report | None
    """None when nothing was measured: the run's report from before still holds, or none was asked for."""

    authority: str | None = None
    """The root that a gateway's certificate leads to, where the deployment has an authority of its own."""


def up(  # noqa: PLR0913 - what is served, where, and how far the road goes
    planned: Planned,
    intent: Intent,
    target: Target,
    catalog: Catalog,
    world: World,
    *,
    again: bool,
    measure: bool = True,
    load: Load = ONCE,
) -> Arrival:
    """Go the whole road; without `measure` only as far as an engine that answers. `load` is how its workload is put on.

    Raises:
        CatalogError, ComparisonError: a rate or an offer is not there; nothing was touched.
        DeploymentError, LoadTestError: a stage failed; the files of the stages before it are kept.
        Interrupted: Ctrl-C; an engine that already answered stays up, as after a finished `up`.

    """
    check(catalog, planned.node, planned.plan.model, intent.cost, world.clock.now())
    bundle = make_bundle(planned, intent, target.addresses, key_required=world.api_key is not None)
    digest = bundle.manifest.digest
    before = world.records.find(target.name)
    same = before is not None and before.release == digest and before.measured and not again
    if before is not None and before.model != planned.plan.model:
        world.reporter.note(f"`{before.model}` is served now; `{planned.plan.model}` takes its place")
    run = _run_folder(world, planned, before if same else None)
    run.write("plan.json", planned.plan)
    world.reporter.begin("render")
    places = Places(
        bundle=run.write_bundle(bundle).absolute(),
        inventory=_inventory(target, world),
        profiles=world.profiles,
        log=run.path("logs").absolute(),
    )
    world.reporter.done("render", f"{len(bundle.files)} files, digest {digest[:12]}")

    world.reporter.begin("provision")
    gateway = intent.gateway if has_gateway(planned, intent, target.addresses) else None
    endpoint = _endpoint(planned, target, gateway)
    record = _record(planned, target, bundle, places, run).model_copy(
        update={"callers": intent.gateway.keys, "authority": before.authority if before else None}
    )
    world.records.save(record)
    try:
        deployment = deploy(planned, bundle, target, places, endpoint.base_url, world)
    except DeploymentError as error:
        if target.supervision == "systemd":
            if before is not None:  # it serves on
                world.records.save(before)
            elif UNTOUCHED in (error.hint or ""):  # there is nothing that `down` could end
                world.records.forget(target.name)
        raise
    run.write("deployment.json", deployment)
    world.reporter.done("provision", _what_changed(deployment))
    _remember(planned, deployment, world)
    publish_dashboard(intent, target, world)

    authority = _authority(gateway, target, run, world)
    record = record.model_copy(update={"authority": authority})
    site = Site(inventory=places.inventory, variables=record.variables)
    endpoint = endpoint.model_copy(update={"authority": authority, "hidden": site if gateway is not None else None})
    measured = same and run.path("report.json").is_file()
    arrival = Arrival(planned=planned, deployment=deployment, run=run.directory, report=None, authority=authority)
    world.records.save(record.model_copy(update={"measured": measured}))
    if measured or not measure:
        return arrival
    made = measure_and_report(
        run,
        endpoint,
        planned.workload,
        site=site,
        catalog=catalog,
        cost=intent.cost,
        world=world,
        load=load,
    )
    world.records.save(record.model_copy(update={"measured": True}))
    return replace(arrival, report=made)


def _remember(planned: Planned, deployment: Deployment, world: World) -> None:
    """Keep what the engine says of its memory beside the plan, and how long its start took; tell how near the plan was."""
    found = remembered(planned.plan, deployment)
    figures = compared(found)
    if not figures and found.ready_s is None:
        return
    before = world.memories.find(found.key)
    world.memories.save(found if before is None else found.after(before))
    if figures:
        world.reporter.note(f"memory, as the engine says: {'; '.join(map(str, figures))}")


def _run_folder(world: World, planned: Planned, before: DeploymentRecord | None) -> RunFolder:
    """Go on in the run of a deployment that is measured already, or make a new one."""
    if before is not None and Path(before.run).is_dir():
        return world.runs.open(before.run)
    return world.runs.create(model=planned.plan.model, node=planned.plan.node, now=world.clock.now())


def _inventory(target: Target, world: World) -> Path:
    if target.inventory_file is not None:
        return target.inventory_file.absolute()
    return world.records.write_inventory(target.name, target.inventory or {}).absolute()


def _endpoint(planned: Planned, target: Target, gateway: GatewayIntent | None) -> Endpoint:
    """Return what callers use: the gateway, or the first engine where there is none.

    Behind a gateway the engines listen on their nodes' loopback, so their counters are read there (`hidden`).
    """
    if gateway is None:  # callers reach the first engine alone, so it alone is measured
        first = f"http://{bracketed(target.addresses[0])}:{planned.plan.setting('port') or 0}"
        return Endpoint(base_url=first, model=planned.plan.served_model_name, metrics_urls=(first,))
    return Endpoint(base_url=gateway_url(gateway, target.addresses[0]), model=planned.plan.served_model_name)


def _authority(gateway: GatewayIntent | None, target: Target, run: RunFolder, world: World) -> str | None:
    """Keep the root with the deployment, whose later runs need it too, and return where."""
    if gateway is None or gateway.tls != "internal":
        return None
    kept = world.records.keep_authority(target.name, run.path(AUTHORITY))
    return None if kept is None else str(kept)


def gateway_url(gateway: GatewayIntent, address: str) -> str:
    """Return where callers find the gateway: by its domain, else by the first node's address."""
    scheme, usual = ("https", 443) if gateway.tls != "off" else ("http", 80)
    port = "" if gateway.port == usual else f":{gateway.port}"
    return f"{scheme}://{gateway.domain or bracketed(address)}{port}"


def _record(planned: Planned, target: Target, bundle: Bundle, places: Places, run: RunFolder) -> DeploymentRecord:
    return DeploymentRecord(
        name=target.name,
        model=planned.plan.model,
        node=planned.plan.node,
        rehearsal=target.rehearsal,
        release=bundle.manifest.digest,
        run=str(run.directory.absolute()),
        inventory=str(places.inventory),
        variables=playbook_variables(bundle, target, places),
    )


def _what_changed(deployment: Deployment) -> str:
    changed = sum(host.changed for host in deployment.hosts)
    if not changed:
        return f"nothing changed in {deployment.seconds:.0f} s; the engine answers"
    return f"{changed} tasks changed something in {deployment.seconds:.0f} s; the engine answers"
