"""A run folder -> its report: measure, compare, report, all repeatable from the folder's files."""

from deploykit.catalog.catalog import Catalog
from deploykit.costing.comparison import Comparison, compare
from deploykit.deploying.deployment import Deployment
from deploykit.errors import Place, StorageError
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
    run.write("loadtest-run.json", loadtest.model_copy(update={"samples": (), "sample_count": len(loadtest.samples)}))


def read_run(run: RunFolder) -> LoadTestRun:
    """Read a load test back, samples and all; StorageError if samples are missing."""
    summary = run.read("loadtest-run.json", LoadTestRun)
    samples = run.read_samples()
    if summary.sample_count not in {None, len(samples)}:
        raise StorageError(
            f"samples.jsonl is damaged: it holds {len(samples)} requests, and the load test sent {summary.sample_count}",
            where=Place(str(run.path("samples.jsonl"))),
            hint="nothing true can be said from a part of them: restore the file from a copy, or measure again with `deploykit up --again`",
        )
    return summary.model_copy(update={"samples": samples})


def make_report(run: RunFolder, loadtest: LoadTestRun, catalog: Catalog, cost: CostIntent, world: World) -> Report:
    """Measure, compare and report a run; every step's value is written beside the samples."""
    plan = run.read("plan.json", Plan)
    manifest, deployment = run.read("bundle/manifest.json", Manifest), run.read("deployment.json", Deployment)
    measured = measure(loadtest)
    run.write("measurements.json", measured)
    compared = _compare(plan, measured, catalog, cost, world)
    run.write("comparison.json", compared)
    made = report(
        plan=plan,
        manifest=manifest,
        deployment=deployment,
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
