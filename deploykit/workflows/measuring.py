"""A deployment -> its measured report: load test, measurement, comparison. What cannot be used is an error, and is kept."""

from deploykit.catalog.catalog import Catalog
from deploykit.catalog.workload import Workload
from deploykit.errors import ComparisonError, LoadTestError
from deploykit.intent import CostIntent
from deploykit.reporting.report import Report
from deploykit.workflows.engine_end import EngineEnd, Site, engine_end, may_have_ended
from deploykit.workflows.loadtest import Endpoint, loadtest
from deploykit.workflows.report import make_report, save_run
from deploykit.workflows.stores import RunFolder
from deploykit.workflows.world import World


def measure_and_report(
    run: RunFolder,
    endpoint: Endpoint,
    workload: Workload,
    *,
    site: Site,
    catalog: Catalog,
    cost: CostIntent,
    world: World,
) -> Report:
    """Put a deployment under load and report what came back.

    Raises:
        LoadTestError: an engine ended meanwhile, or no request succeeded. What was measured stays in the run folder,
            marked INVALID.
        Interrupted: Ctrl-C.

    """
    world.reporter.begin("load test")
    since, log_dir = world.clock.now(), run.path("logs")
    try:
        tested = loadtest(endpoint, workload, run.directory, world)
    except LoadTestError as error:
        end = engine_end(site, log_dir, world, since=since)
        if end is None:
            raise
        raise _ended(end, run) from error
    end = engine_end(site, log_dir, world, since=since) if may_have_ended(tested) else None
    if end is not None:
        tested = tested.model_copy(update={"engine_ended": end.says})
    save_run(run, tested)
    good = sum(sample.outcome == "ok" for sample in tested.samples)
    world.reporter.done("load test", f"{good} of {len(tested.samples)} requests answered")
    world.reporter.begin("report")
    try:
        made = make_report(run, tested, catalog, cost, world)
    except ComparisonError as error:
        if end is not None:
            raise _ended(end, run) from error
        if good == 0:
            raise _nothing_answered(run, tested.samples[0].error, len(tested.samples)) from error
        raise
    if end is not None:
        raise _ended(end, run)
    world.reporter.done("report", str(run.path("report.html")))
    return made


def _ended(end: EngineEnd, run: RunFolder) -> LoadTestError:
    return LoadTestError(
        f"the engine ended during the load test: {end.says}",
        detail=end.log or None,
        hint=f"`deploykit logs` shows more; `deploykit up` brings it up and measures anew. What was recorded is in "
        f"{run.directory}, marked INVALID: its numbers must not be used",
    )


def _nothing_answered(run: RunFolder, error: str | None, count: int) -> LoadTestError:
    return LoadTestError(
        f"none of {count} requests was answered",
        detail=error,
        hint=f"look at the engine with `deploykit status` and `deploykit logs`; what was recorded is in {run.directory}",
    )
