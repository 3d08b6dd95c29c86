"""What is under load -> its engines' counters now: asked for over HTTP, or on their hosts where a gateway hides them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploykit.errors import DeploymentError, LoadTestError
from deploykit.measuring.samples import EngineCounters
from deploykit.workflows.engine_end import Site, look
from deploykit.workflows.world import World


def engine_counters(urls: tuple[str, ...], hidden: Site | None, log_dir: Path, world: World) -> EngineCounters | None:
    """Return the sum over all engines, or None if one of them cannot be read: counters are a cross-check.

    Args:
        urls: engines that can be asked from here.
        hidden: hosts whose engines listen on their loopback alone; they are asked there, by a playbook.
        log_dir: where the playbook's log is kept.
        world: the ports.

    """
    try:
        every = [world.metrics.counters(url) for url in urls] if hidden is None else _on_hosts(hidden, log_dir, world)
    except (LoadTestError, DeploymentError):
        return None
    return _sum(every) if every else None


def _on_hosts(site: Site, log_dir: Path, world: World) -> list[EngineCounters]:
    told = look("counters.yml", site, log_dir, world, counters_names=list(world.metrics.names))
    if told.failures:
        raise LoadTestError(f"{told.failures[0].host} cannot be asked for its engines' counters")
    return [world.metrics.read(str(text), engine) for engine, text in _texts(told.facts)]


def _texts(facts: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for host, published in facts.items():
        for entry in published.get("counters") or ():
            engine = f"{entry['name']} on {host}"
            if entry["metrics"] is None:
                raise LoadTestError(f"{engine} does not tell its counters: {entry['why']}")
            yield engine, entry["metrics"]


def _sum(every: list[EngineCounters]) -> EngineCounters:
    """Add the counters of several engines; a figure one of them lacks is unknown."""
    total = every[0].model_dump()
    for name in total:
        if name != "at":
            values = [getattr(counters, name) for counters in every]
            total[name] = None if None in values else sum(values)
    return EngineCounters(**total)
