"""A run folder -> its report: measure, compare, report, all repeatable from the folder's files."""

from deploykit.catalog.catalog import Catalog
from deploykit.costing.comparison import Comparison, compare
from deploykit.deploying.deployment import Deployment
from deploykit.intent import CostIntent
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import HourlyCost, Measurements
from deploykit.measuring.samples import LoadTestRun
from deploykit.planning.plan import Plan
from deploykit.rendering.bundle import Manifest
from deploykit.reporting.html import html
from deploykit.reporting.markdown import markdown
from deploykit.reporting.report import Report, report
from deploykit.workflows.pricing import hourly_costs, offers
from deploykit.workflows.stores import RunFolder
from deploykit.workflows.world import World


def save_run(run: RunFolder, loadtest: LoadTestRun) -> None:
    """Write a load test's summary; its samples are in `samples.jsonl` already."""
    run.write("loadtest-run.json", loadtest.model_copy(update={"samples": ()}))


def read_run(run: RunFolder) -> LoadTestRun:
    """Read a load test back, samples and all."""
    summary = run.read("loadtest-run.json", LoadTestRun)
    return summary.model_copy(update={"samples": run.read_samples()})


def make_report(run: RunFolder, loadtest: LoadTestRun, catalog: Catalog, cost: CostIntent, world: World) -> Report:
    """Measure, compare and report a run; every step's value is written beside the samples."""
    plan = run.read("plan.json", Plan)
    measured = measure(loadtest)
    run.write("measurements.json", measured)
    compared = _compare(plan, measured, catalog, cost, world)
    run.write("comparison.json", compared)
    made = report(
        plan=plan,
        manifest=run.read("bundle/manifest.json", Manifest),
        deployment=run.read("deployment.json", Deployment),
        run=loadtest,
        measurements=measured,
        comparison=compared,
        now=world.clock.now(),
        versions=dict(world.versions),
        not_exercised=_not_exercised(plan, catalog),
    )
    run.write("report.json", made)
    run.write_text("report.md", markdown(made))
    run.write_text("report.html", html(made))
    return made


def _compare(plan: Plan, measured: Measurements, catalog: Catalog, cost: CostIntent, world: World) -> Comparison:
    hourly: tuple[HourlyCost, ...] = hourly_costs(
        catalog.node(plan.node), cost, nodes=plan.nodes, now=world.clock.now()
    )
    return compare(
        measured, hourly, offers(catalog, plan.model, cost), model=plan.model, rehearsal=plan.stand_in is not None
    )


def _not_exercised(plan: Plan, catalog: Catalog) -> tuple[str, ...]:
    """Return what of the real model's road the stand-in does not run; nothing where the model itself is served."""
    recipe = catalog.standin(plan.stand_in).stand_in if plan.stand_in else None
    return recipe.not_exercised if recipe else ()
