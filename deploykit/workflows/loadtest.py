"""Endpoint and workload -> a load test run: counters before, load, counters after."""

from pathlib import Path

from deploykit.base import Value
from deploykit.catalog.workload import Workload
from deploykit.errors import LoadTestError
from deploykit.measuring.samples import EngineCounters, LoadTestRun, LoadTestSpec
from deploykit.workflows.world import World


class Endpoint(Value):
    """What is put under load."""

    base_url: str
    model: str
    metrics_urls: tuple[str, ...] = ()
    """Engines whose counters are read; none for an endpoint that does not show them."""


def loadtest(endpoint: Endpoint, workload: Workload, directory: Path, world: World) -> LoadTestRun:
    """Run a workload against an endpoint; LoadTestError or Interrupted if it gives no samples that can be used."""
    spec = LoadTestSpec(base_url=endpoint.base_url, model=endpoint.model, workload=workload)
    before = _counters(endpoint, world)
    facts, samples = world.generator.run(
        spec, directory=directory, api_key=world.api_key, on_progress=world.reporter.load
    )
    after = _counters(endpoint, world)
    return LoadTestRun(spec=spec, generator=facts, before=before, after=after, samples=samples)


def _counters(endpoint: Endpoint, world: World) -> EngineCounters | None:
    """Counters are a cross-check; the measurement says so where they are missing."""
    try:
        every = [world.metrics.counters(url) for url in endpoint.metrics_urls]
    except LoadTestError:
        return None
    return _sum(every) if every else None


def _sum(every: list[EngineCounters]) -> EngineCounters:
    """Add the counters of several engines; a figure one of them lacks is unknown."""
    total = every[0].model_dump()
    for name in total:
        if name != "at":
            values = [getattr(counters, name) for counters in every]
            total[name] = None if None in values else sum(values)
    return EngineCounters(**total)
