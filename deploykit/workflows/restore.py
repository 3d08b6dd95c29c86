"""A change that failed on hosts -> the release that served before, serving again; proven by the same completion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploykit.deploying.outcome import failure_error
from deploykit.errors import DeploymentError
from deploykit.workflows.ports import PlaybookResult, TaskEvent
from deploykit.workflows.world import World

UNTOUCHED = "what served before was not touched"
NOTHING = "nothing served before"


def give_up(inventory: Path, variables: Mapping[str, object], log: Path, world: World) -> str:
    """End a change that failed, on every host that answers; return in a sentence what serves now."""
    world.reporter.begin("restore")
    try:
        told = _run("abandon.yml", inventory, variables, log / "abandon", world)
    except DeploymentError as error:
        return f"what serves now is unknown: {error.what}"
    facts = [published for published in told.facts.values() if "restore" in published]
    before = next((found for published in facts if isinstance(found := published["restore"], dict)), None)
    if before is None:
        return NOTHING if any(published.get("switched") for published in facts) else UNTOUCHED
    world.reporter.note(f"going back to release {before['name']}, which served before")
    return _restored(before, inventory, variables, log, world)


def _restored(
    before: Mapping[str, Any], inventory: Path, variables: Mapping[str, object], log: Path, world: World
) -> str:
    earlier = release_variables(before, variables) | {"release_event": "restore"}
    try:
        error = failure_error(_run("rollback.yml", inventory, earlier, log / "restore", world))
    except DeploymentError as failed:
        error = failed
    if error is not None:
        return f"release {before['name']} served before and does not come back: {error.what}"
    world.reporter.done("restore", f"release {before['name']} answered a completion")
    return f"release {before['name']}, which served before, serves again: it answered a completion"


def release_variables(about: Mapping[str, Any], variables: Mapping[str, object]) -> dict[str, Any]:
    """Return what the playbooks need for an earlier release: what its own bundle on the host says, and this machine's."""
    ours = {name: value for name, value in variables.items() if name.startswith("deploykit_")}
    own: dict[str, Any] = yaml.safe_load(about["variables"]) or {}
    return {**own, **ours, "deploykit_release": about["release"], "deploykit_wanted": "gone back to"}


def _run(playbook: str, inventory: Path, variables: Mapping[str, object], log: Path, world: World) -> PlaybookResult:
    def show(event: TaskEvent) -> None:
        if event.kind not in {"failed", "unreachable"}:  # told in the sentence that comes of it
            world.reporter.task(event)

    return world.playbooks.run(
        playbook, inventory=inventory, variables=variables, secrets=world.secrets, log_dir=log, on_event=show
    )
