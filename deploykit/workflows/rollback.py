"""A deployment on hosts -> an earlier release of it, serving again; and how what serves differs from what should."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploykit.deploying.outcome import failure_error
from deploykit.deploying.record import DeploymentRecord
from deploykit.errors import DeploymentError, UsageError
from deploykit.rendering.bundle import Bundle
from deploykit.workflows.restore import give_up, release_variables
from deploykit.workflows.world import World

_OF_THE_RUN = ("deploykit_holder", "deploykit_wanted", "release_event")

Releases = Mapping[str, Mapping[str, Any]]
"""Per host: `current`, `releases` (those that have answered, the last one first), `drift`, `lock`, and `files` if asked."""


def read_releases(record: DeploymentRecord, world: World, log: Path, *, files: bool = False) -> Releases:
    """Ask every host what serves; raises DeploymentError if one cannot tell."""
    if record.variables.get("deploykit_supervision") != "systemd":
        raise UsageError(
            f"`{record.name}` is a rehearsal on this machine, which keeps no releases",
            hint="`deploykit up -i INVENTORY` deploys to hosts, which do",
        )
    told = world.playbooks.run(
        "releases.yml", inventory=Path(record.inventory), variables={**record.variables, "releases_files": files},
        secrets={}, log_dir=log, on_event=world.reporter.task,
    )  # fmt: skip
    error = failure_error(told)
    if error is not None:
        raise error
    found = {host: published.get("releases_here") for host, published in told.facts.items()}
    here = {host: value for host, value in found.items() if isinstance(value, dict)}
    if not here:
        raise DeploymentError(f"no host of `{record.name}` said what serves", hint=f"look at {record.inventory}")
    return here


def rollback(record: DeploymentRecord, wanted: str | None, world: World, log: Path) -> DeploymentRecord:
    """Bring every host to an earlier release and return the deployment's record.

    Raises:
        UsageError: there is no such release on every host.
        DeploymentError: it does not come up; what served before does again, or the error says why not.

    """
    chosen = choose(read_releases(record, world, log), wanted)
    variables = release_variables(chosen, record.variables)
    running = {**variables, "release_event": "rollback", "deploykit_holder": dict(world.holder)}
    world.reporter.note(f"going back to release {chosen['name']}, which answered last at {chosen['at']}")
    result = world.playbooks.run(
        "rollback.yml", inventory=Path(record.inventory), variables=running, secrets=world.secrets, log_dir=log,
        on_event=world.reporter.task,
    )  # fmt: skip
    error = failure_error(result)
    if error is not None:
        error.hint = give_up(Path(record.inventory), running, log, world)
        raise error
    kept = {name: value for name, value in variables.items() if name not in _OF_THE_RUN}
    return record.model_copy(update={"release": chosen["release"], "variables": kept, "measured": False})


def choose(found: Releases, wanted: str | None) -> Mapping[str, Any]:
    """Return the release to go back to: the one named, or the last that answered before the current one."""
    first, *others = found.values()
    everywhere = [
        release
        for release in first["releases"]
        if all(release["name"] in {other["name"] for other in host["releases"]} for host in others)
    ]
    names = [release["name"] for release in everywhere]
    current = {host["current"] for host in found.values()}
    earlier = [release for release in everywhere if {release["name"]} != current]
    if wanted is None and earlier:
        return dict(earlier[0])
    matching = [release for release in everywhere if wanted and release["name"].startswith(wanted[:12])]
    if len(matching) == 1:
        return dict(matching[0])
    what = "there is no earlier release to go back to" if wanted is None else f"there is no one release `{wanted}`"
    raise UsageError(what, hint=f"every host keeps, of those that have answered: {', '.join(names) or 'none'}")


def differences(bundle: Bundle, found: Releases) -> dict[str, str]:
    """Return per host the unified diff from its current release to a bundle; empty text where they are the same."""
    wanted = {file.path: file.content for file in bundle.files}
    return {host: _diff(dict(told.get("files") or {}), wanted) for host, told in found.items()}


def _diff(before: dict[str, str], after: dict[str, str]) -> str:
    before.pop("manifest.json", None)  # the digests of the others
    lines: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path, "").splitlines(keepends=True), after.get(path, "").splitlines(keepends=True)
        lines += difflib.unified_diff(old, new, f"served/{path}", f"wanted/{path}", n=1)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
