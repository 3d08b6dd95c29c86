"""Planned deployment, or a record of one -> what its hosts are found to be. Nothing is changed."""

from collections.abc import Mapping
from pathlib import Path

from deploykit.catalog.engine import MetricNames
from deploykit.deploying.examine import examination
from deploykit.deploying.finding import Examination
from deploykit.deploying.record import DeploymentRecord
from deploykit.intent import Intent
from deploykit.workflows.bundling import make_bundle
from deploykit.workflows.deploy import Places, playbook_variables
from deploykit.workflows.planning import Planned
from deploykit.workflows.ports import TaskEvent
from deploykit.workflows.target import Target
from deploykit.workflows.world import World


def preflight(
    planned: Planned,
    intent: Intent,
    target: Target,
    inventory: Path,
    world: World,
    *,
    key_required: bool,
    all_reduce: str | None = None,
) -> Examination:
    """Look at the hosts of a plan before anything is deployed; raises DeploymentError if Ansible cannot run."""
    bundle = make_bundle(planned, intent, target.addresses, key_required=key_required)
    log = world.records.folder(target.name) / "logs"
    places = Places(bundle=log, inventory=inventory, profiles=world.profiles, log=log)  # looking places no bundle
    variables = playbook_variables(bundle, target, places)
    measure = {"preflight_all_reduce": all_reduce} if all_reduce else {}
    return _look("preflight.yml", ("preflight",), inventory, {**variables, **measure}, log, target.hosts, world)


def doctor(record: DeploymentRecord, metrics: MetricNames, world: World) -> Examination:
    """Look at a running deployment; `metrics` is what its engine calls its counters."""
    variables = {
        **record.variables,
        "doctor_release": record.release,
        "doctor_metrics": metrics.model_dump(mode="json"),
    }
    log = world.records.folder(record.name) / "logs"
    return _look("doctor.yml", ("doctor", "preflight"), Path(record.inventory), variables, log, (), world)


def _look(
    playbook: str,
    keys: tuple[str, ...],
    inventory: Path,
    variables: Mapping[str, object],
    log: Path,
    hosts: tuple[str, ...],
    world: World,
) -> Examination:
    said: dict[str, str] = {}

    def hear(event: TaskEvent) -> None:
        if event.kind in {"note", "failed"} and event.host and event.message:
            said[event.host] = event.message.splitlines()[0]
        world.reporter.task(event)

    result = world.playbooks.run(
        playbook,
        inventory=inventory,
        variables=variables,
        secrets=world.secrets,
        log_dir=log,
        on_event=hear,
    )
    return examination(result, keys=keys, hosts=hosts, said=said)
