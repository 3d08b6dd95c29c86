"""The whole road: plan, bundle, provision, load test, report. What was done before is not done again."""

from dataclasses import dataclass
from pathlib import Path

from deploykit.catalog.catalog import Catalog
from deploykit.deploying.deployment import Deployment
from deploykit.deploying.record import DeploymentRecord
from deploykit.intent import Intent
from deploykit.rendering.bundle import Bundle
from deploykit.reporting.report import Report
from deploykit.workflows.bundling import make_bundle
from deploykit.workflows.dashboards import publish_dashboard
from deploykit.workflows.deploy import Places, deploy, playbook_variables
from deploykit.workflows.engine_end import Site
from deploykit.workflows.loadtest import Endpoint
from deploykit.workflows.measuring import measure_and_report
from deploykit.workflows.planning import Planned
from deploykit.workflows.pricing import check
from deploykit.workflows.stores import RunFolder
from deploykit.workflows.target import Target
from deploykit.workflows.world import World


@dataclass(frozen=True)
class Arrival:
    """Where `up` ended."""

    planned: Planned
    deployment: Deployment
    run: Path
    report: Report | None
    """None when nothing changed and the run's report from before still holds."""


def up(planned: Planned, intent: Intent, target: Target, catalog: Catalog, world: World, *, again: bool) -> Arrival:
    """Go the whole road.

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
    gateway_port = intent.gateway.port if intent.gateway.enabled and not planned.rehearsal else None
    endpoint = _endpoint(planned, target, gateway_port, intent.gateway.domain)
    record = _record(planned, target, bundle, places, run)
    world.records.save(record)
    deployment = deploy(planned, bundle, target, places, endpoint.base_url, world)
    run.write("deployment.json", deployment)
    world.reporter.done("provision", _what_changed(deployment))
    publish_dashboard(intent, target, world)

    if same and run.path("report.json").is_file():
        world.records.save(record.model_copy(update={"measured": True}))
        return Arrival(planned=planned, deployment=deployment, run=run.directory, report=None)
    made = measure_and_report(
        run,
        endpoint,
        planned.workload,
        site=Site(inventory=places.inventory, variables=record.variables),
        catalog=catalog,
        cost=intent.cost,
        world=world,
    )
    # What must not be used is not done yet: the next `up` measures again.
    world.records.save(record.model_copy(update={"measured": made.measurements.verdict != "INVALID"}))
    return Arrival(planned=planned, deployment=deployment, run=run.directory, report=made)


def _run_folder(world: World, planned: Planned, before: DeploymentRecord | None) -> RunFolder:
    """Go on in the run of a deployment that is measured already, or make a new one."""
    if before is not None and Path(before.run).is_dir():
        return world.runs.open(before.run)
    return world.runs.create(model=planned.plan.model, node=planned.plan.node, now=world.clock.now())


def _inventory(target: Target, world: World) -> Path:
    if target.inventory_file is not None:
        return target.inventory_file.absolute()
    return world.records.write_inventory(target.name, target.inventory or {}).absolute()


def _endpoint(planned: Planned, target: Target, gateway_port: int | None, domain: str | None) -> Endpoint:
    """Return what callers use: the gateway, or the first engine where there is none.

    Behind a gateway the engines listen on their nodes' loopback, so their counters are out of reach from here.
    """
    first = planned.plan.setting("port")
    first_port = first if isinstance(first, int) else 0
    ports = [first_port + i for i in range(planned.plan.parallelism.replicas)]
    direct = tuple(f"http://{target.addresses[0]}:{port}" for port in ports)
    if gateway_port is None:
        return Endpoint(base_url=direct[0], model=planned.plan.served_model_name, metrics_urls=direct)
    gateway = f"https://{domain}" if domain else f"http://{target.addresses[0]}:{gateway_port}"
    return Endpoint(base_url=gateway, model=planned.plan.served_model_name)


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
