"""Bundle and target -> a deployment that answered: the order of effects around `site.yml`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploykit.deploying.deployment import Deployment
from deploykit.deploying.outcome import deployment_from, failure_error
from deploykit.deploying.remembered import key_of
from deploykit.errors import Interrupted
from deploykit.rendering.bundle import Bundle
from deploykit.workflows.planning import Planned
from deploykit.workflows.ports import Playbooks, TaskEvent
from deploykit.workflows.restore import give_up
from deploykit.workflows.target import Target
from deploykit.workflows.world import World

START_TASK = "Start the engine"
"""How the name of the role's task begins that starts an engine."""


@dataclass(frozen=True)
class Places:
    """Folders on this machine that the playbooks need to know."""

    bundle: Path
    inventory: Path
    profiles: Path
    log: Path


def playbook_variables(bundle: Bundle, target: Target, places: Places) -> dict[str, Any]:
    """Return the extra variables: the bundle's role variables, and what only this machine knows. No secrets."""
    variables: dict[str, Any] = yaml.safe_load(bundle.file("ansible/vars.yaml").content)
    return (
        variables
        | target.knobs
        | {
            "deploykit_bundle": str(places.bundle),
            "deploykit_release": bundle.manifest.digest,
            "deploykit_deployment": target.name,
            "deploykit_root": target.root,
            "deploykit_profiles": str(places.profiles),
            "deploykit_supervision": target.supervision,
        }
    )


def teardown_variables(target: Target) -> dict[str, Any]:
    """Return what `teardown.yml` needs to end what is left of a rehearsal whose record is gone."""
    return {
        "deploykit_root": target.root,
        "deploykit_supervision": target.supervision,
        "engine_instances": [],
        "gateway_enabled": False,
        "monitoring_enabled": False,
    }


def deploy(planned: Planned, bundle: Bundle, target: Target, places: Places, url: str, world: World) -> Deployment:
    """Run `site.yml` and read back what came up.

    Raises:
        DeploymentError: a task failed or a host did not answer. On hosts, the release that served before serves
            again, or the error says why not.
        Interrupted: Ctrl-C; an engine that this run was still starting on this machine has been stopped, and one
            that served before stays, or serves again.

    """
    started = world.clock.now()
    variables = playbook_variables(bundle, target, places) | {"deploykit_holder": dict(world.holder)}
    before = world.memories.find(key_of(planned.plan))
    if before is not None and before.ready_s is not None:  # told while the engine is waited for
        variables["engine_last_start_s"] = before.ready_s
    start = _Start(world.reporter.task)
    try:
        result = world.playbooks.run(
            "site.yml",
            inventory=places.inventory,
            variables=variables,
            secrets=world.secrets,
            log_dir=places.log,
            on_event=start.take,
        )
    except Interrupted as interruption:
        if target.supervision == "systemd":
            interruption.hint = give_up(places.inventory, variables, places.log, world)
        elif start.begun:
            world.reporter.note("stopping what was being started")
            _stop_what_was_starting(world.playbooks, places, variables)
        raise
    for host, told in result.facts.items():
        notes = told.get("weights")
        for note in notes if isinstance(notes, list) else []:
            world.reporter.note(f"{host}: {note}")
    error = failure_error(result) if target.supervision == "systemd" else None
    if error is not None:
        says = give_up(places.inventory, variables, places.log, world)
        error.hint = f"{says}. {error.hint}" if error.hint else says
        raise error
    return deployment_from(
        result,
        bundle_digest=bundle.manifest.digest,
        endpoint=url,
        served_model_name=planned.plan.served_model_name,
        started_at=started,
        seconds=(world.clock.now() - started).total_seconds(),
        image=variables["runtime_image"],
    )


class _Start:
    """Watches whether a run has begun to start an engine; one that it found running was not started by it."""

    def __init__(self, pass_on: Callable[[TaskEvent], None]) -> None:
        self.begun = False
        self._pass_on = pass_on

    def take(self, event: TaskEvent) -> None:
        """Take one event, and pass it on."""
        if event.role == "engine" and (event.task or "").startswith(START_TASK):
            self.begun = event.kind != "ok"
        self._pass_on(event)


def _stop_what_was_starting(playbooks: Playbooks, places: Places, variables: Mapping[str, object]) -> None:
    playbooks.run(
        "teardown.yml",
        inventory=places.inventory,
        variables=variables,
        secrets={},
        log_dir=places.log / "teardown",
        on_event=lambda _event: None,
    )
