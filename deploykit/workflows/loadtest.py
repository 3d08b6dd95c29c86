"""Endpoint and workload -> a load test run: counters before, load, counters after."""

import os
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path

from deploykit.base import Value
from deploykit.catalog.workload import TraceReplay, Workload
from deploykit.measuring.certificate import Certificate
from deploykit.measuring.load_hosts import LoadHost
from deploykit.measuring.samples import EngineCounters, LoadTestRun, LoadTestSpec
from deploykit.workflows.engine_counters import engine_counters
from deploykit.workflows.engine_end import Site
from deploykit.workflows.ports import Progress
from deploykit.workflows.world import World

_CERTIFICATE_S = 2.0
"""With its start and the last answers' ends, about three seconds before the load."""


class Endpoint(Value):
    """What is put under load."""

    base_url: str
    model: str
    metrics_urls: tuple[str, ...] = ()
    """Engines whose counters are read; none for an endpoint that does not show them."""

    hidden: Site | None = None
    """Hosts whose engines listen on their loopback alone, behind a gateway: their counters are read there."""

    authority: str | None = None
    """The root that its certificate leads to, a file; the system's roots if None."""


def loadtest(  # noqa: PLR0913 - how a load is made, each by its name
    endpoint: Endpoint,
    workload: Workload,
    directory: Path,
    world: World,
    *,
    processes: int = 1,
    certified: bool = True,
    hosts: tuple[LoadHost, ...] = (),
    inputs: Path | None = None,
    usd_per_hour: Decimal | None = None,
) -> LoadTestRun:
    """Run a workload against an endpoint; LoadTestError or Interrupted if it gives no samples that can be used.

    `processes` make load on this machine, or so many on each of `hosts`. `certified`: the generator measures first what it
    adds to the times. `inputs` is the folder with the files that are replayed. `usd_per_hour` is what serves, for the
    operator to see while it runs.
    """
    spec = LoadTestSpec(
        base_url=endpoint.base_url,
        model=endpoint.model,
        workload=workload,
        processes=processes * (len(hosts) or 1),
        hosts=hosts,
        certificate_s=_CERTIFICATE_S if certified else 0,
        inputs=os.path.relpath(inputs, directory) if inputs is not None and _replays(workload) else None,
    )
    told_before: list[Certificate] = []

    def tell(progress: Progress) -> None:
        if progress.certificate is not None and not told_before:
            told_before.append(progress.certificate)
            world.reporter.note(progress.certificate.says)
        told = progress.model_copy(update={"usd_per_hour": usd_per_hour})
        for hears in (world.reporter.load, *world.load_watchers):
            hears(told)

    before = _counters(endpoint, directory, world)
    with world.power.running() if world.power else nullcontext() as power:
        facts, samples = world.generator.run(
            spec,
            directory=directory,
            api_key=world.api_key,
            on_progress=tell,
            authority=Path(endpoint.authority) if endpoint.authority else None,
        )
    after = _counters(endpoint, directory, world)
    drawn = power() if power else None
    return LoadTestRun(spec=spec, generator=facts, before=before, after=after, power=drawn, samples=samples)


def _replays(workload: Workload) -> bool:
    """Whether a workload needs files: traces, or prompts of the operator's own."""
    return workload.own_prompts is not None or any(isinstance(stage, TraceReplay) for stage in workload.stages)


def _counters(endpoint: Endpoint, directory: Path, world: World) -> EngineCounters | None:
    return engine_counters(endpoint.metrics_urls, endpoint.hidden, directory / "logs", world)
