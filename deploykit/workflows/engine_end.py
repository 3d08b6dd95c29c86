"""A load test that went wrong -> whether an engine ended while it ran, and its last words."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploykit.deploying.last_words import last_words
from deploykit.errors import DeploymentError
from deploykit.measuring.ledger import restarted
from deploykit.measuring.samples import LoadTestRun
from deploykit.workflows.ports import PlaybookResult
from deploykit.workflows.world import World

_LINES = 500
_SUSPICIOUS = {"connection_error", "http_error", "truncated"}
"""How requests end that an engine leaves behind; one that is merely slow gives time-outs and cut-offs."""


@dataclass(frozen=True)
class Site:
    """Where the engines run: what a playbook needs to look at them."""

    inventory: Path
    variables: Mapping[str, object]


@dataclass(frozen=True)
class EngineEnd:
    """How an engine ended, in words, and the last lines of its log."""

    says: str
    log: str


def look(playbook: str, site: Site, log_dir: Path, world: World, **more: object) -> PlaybookResult:
    """Run a playbook that reads what engines say, and show nothing of it; raises DeploymentError if it cannot run."""
    return world.playbooks.run(
        playbook,
        inventory=site.inventory,
        variables={**site.variables, **more},
        secrets=world.secrets,
        log_dir=log_dir,
        on_event=lambda _event: None,
    )


def may_have_ended(run: LoadTestRun) -> bool:
    """Whether a load test gives reason to look at the engines: their counters went down or away, or requests broke."""
    gone = run.before is not None and run.after is None
    return gone or restarted(run) or any(sample.outcome in _SUSPICIOUS for sample in run.samples)


def engine_end(site: Site, log_dir: Path, world: World, *, since: dt.datetime) -> EngineEnd | None:
    """Look at the engines; None if all have been up since then, or nobody can look."""
    try:
        looked = look("logs.yml", site, log_dir, world, logs_lines=_LINES)
    except DeploymentError:
        return None
    elapsed_s = (world.clock.now() - since).total_seconds()
    for host, entry in _instances(looked.facts):
        says = _ended(entry, elapsed_s)
        if says:
            lines = [str(line) for line in entry.get("log") or ()]
            return EngineEnd(
                says=f"{entry.get('name')} on {host} {says}",
                log=last_words(lines, up_again=entry.get("state") == "running"),
            )
    return None


def _instances(facts: Mapping[str, Mapping[str, object]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for host, published in facts.items():
        found = published.get("instances")
        for entry in found if isinstance(found, list) else []:
            if isinstance(entry, dict):
                yield host, entry


def _ended(entry: Mapping[str, Any], elapsed_s: float) -> str | None:
    """Return how an engine ended, or None if it has been up all the time."""
    if entry.get("state") != "running":
        return f"is {entry.get('state')}" + (f" ({entry['ended']})" if entry.get("ended") else "")
    if entry.get("uptime") is not None and entry["uptime"] < elapsed_s:
        return f"ended and was started again {entry['uptime']:.0f} s ago"
    return "does not answer any more" if entry.get("health") == "does not answer" else None
