"""A deployment -> its measured report: load test, measurement, comparison. What cannot be used is an error, and is kept."""

from decimal import Decimal

from deploykit.catalog.catalog import Catalog
from deploykit.catalog.workload import Workload
from deploykit.cost_intent import CostIntent
from deploykit.errors import ComparisonError, LoadTestError
from deploykit.measuring.samples import LoadTestRun
from deploykit.planning.plan import Plan
from deploykit.reporting.loadtest_report import LoadTestReport
from deploykit.reporting.report import Report
from deploykit.workflows.engine_end import EngineEnd, Site, engine_end, may_have_ended
from deploykit.workflows.loadtest import Endpoint
from deploykit.workflows.pricing import hourly_costs
from deploykit.workflows.report import Target, make_loadtest_report, make_report, save_run
from deploykit.workflows.stores import RunFolder
from deploykit.workflows.trials import Load, put_under_load
from deploykit.workflows.world import World

ONCE = Load()


def measure_and_report(  # noqa: PLR0913 - what is loaded, how, and what its report needs
    run: RunFolder,
    endpoint: Endpoint,
    workload: Workload,
    *,
    site: Site,
    catalog: Catalog,
    cost: CostIntent,
    world: World,
    load: Load = ONCE,
) -> Report:
    """Put a deployment under load and report what came back.

    Raises:
        LoadTestError: an engine ended meanwhile, or no request succeeded. What was measured stays in the run folder,
            marked INVALID.
        Interrupted: Ctrl-C.

    """
    world.reporter.begin("load test")
    plan = run.read("plan.json", Plan)
    since, log_dir = world.clock.now(), run.path("logs")
    try:
        loaded = put_under_load(
            endpoint,
            workload,
            load,
            run,
            world,
            gpus=_gpus(plan),
            usd_per_hour=_usd_per_hour(plan, catalog, cost, world),
        )
    except LoadTestError as error:
        end = engine_end(site, log_dir, world, since=since)
        if end is None:
            raise
        raise _ended(end, run) from error
    tested = loaded.run
    end = engine_end(site, log_dir, world, since=since) if may_have_ended(tested) else None
    if end is not None:
        tested = tested.model_copy(update={"engine_ended": end.says})
        save_run(run, tested)
    _tell(tested, world)
    good = sum(sample.outcome == "ok" for sample in tested.samples)
    world.reporter.begin("report")
    try:
        made = make_report(run, tested, catalog, cost, world)
    except ComparisonError as error:
        if end is not None:
            raise _ended(end, run) from error
        if good == 0:
            raise _nothing_answered(
                run, tested, "`deploykit status` and `deploykit logs` look at the engine"
            ) from error
        raise
    if end is not None:
        raise _ended(end, run)
    world.reporter.done("report", str(run.path("report.html")))
    return made


def measure_address(run: RunFolder, endpoint: Endpoint, workload: Workload, load: Load, world: World) -> LoadTestReport:
    """Put an address under load and report what came back: the load test alone, as nobody knows what it runs on.

    Raises LoadTestError if no request succeeded, Interrupted on Ctrl-C.
    """
    run.write("target.json", Target(base_url=endpoint.base_url, model=endpoint.model))
    world.reporter.begin("load test")
    loaded = put_under_load(endpoint, workload, load, run, world)
    _tell(loaded.run, world)
    if not any(sample.outcome == "ok" for sample in loaded.run.samples):
        raise _nothing_answered(run, loaded.run, "are address, key and model right?")
    return make_loadtest_report(run, loaded.run, world)


def _tell(tested: LoadTestRun, world: World) -> None:
    good = sum(sample.outcome == "ok" for sample in tested.samples)
    world.reporter.done("load test", f"{good} of {len(tested.samples)} requests answered")


def _gpus(plan: Plan) -> int:
    """Return how many GPUs serve; none in a rehearsal."""
    return 0 if plan.stand_in is not None else plan.nodes * plan.gpus_per_node


def _usd_per_hour(plan: Plan, catalog: Catalog, cost: CostIntent, world: World) -> Decimal | None:
    """Return what all nodes cost at the headline rate, to be seen while the test runs; None in a rehearsal."""
    if plan.stand_in is not None:
        return None
    rates = hourly_costs(
        catalog.node(plan.node), cost, nodes=plan.nodes, now=world.clock.now(), ownership=catalog.ownership()
    )
    return rates[0].usd_per_hour * rates[0].nodes if rates else None


def _ended(end: EngineEnd, run: RunFolder) -> LoadTestError:
    return LoadTestError(
        f"the engine ended during the load test: {end.says}",
        detail=end.log or None,
        hint=f"`deploykit logs` shows more; `deploykit up` brings it up and measures anew. What was recorded is in "
        f"{run.directory}, marked INVALID: its numbers must not be used",
    )


def _nothing_answered(run: RunFolder, tested: LoadTestRun, hint: str) -> LoadTestError:
    return LoadTestError(
        f"none of {len(tested.samples)} requests was answered",
        detail=tested.samples[0].error,
        hint=f"{hint}; what was recorded is in {run.directory}",
    )
