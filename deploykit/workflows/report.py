"""A run folder -> its report: measure, compare, report, all repeatable from the folder's files."""

from collections.abc import Iterable
from typing import Literal

from deploykit.base import Value
from deploykit.catalog.catalog import Catalog
from deploykit.cost_intent import CostIntent
from deploykit.deploying.deployment import Deployment
from deploykit.errors import Place, StorageError
from deploykit.measuring.found import Found
from deploykit.measuring.measure import measure
from deploykit.measuring.samples import LoadTestRun
from deploykit.planning.plan import Plan
from deploykit.rendering.bundle import Manifest
from deploykit.reporting.evidence import Basis
from deploykit.reporting.loadtest_report import LoadTestReport
from deploykit.reporting.report import Report
from deploykit.workflows.parity import PARITY, with_scores
from deploykit.workflows.pricing import price_inputs
from deploykit.workflows.remake import FOUND, Part, remade, save_evidence
from deploykit.workflows.stores import RunFolder
from deploykit.workflows.world import World


def save_run(run: RunFolder, loadtest: LoadTestRun) -> None:
    """Write a load test's summary, and its samples as a table; they are in `samples.jsonl` already."""
    run.write("loadtest-run.json", loadtest.model_copy(update={"samples": (), "sample_count": len(loadtest.samples)}))
    run.tabulate(loadtest.samples)


def read_run(run: RunFolder) -> LoadTestRun:
    """Read a load test back, samples and all; StorageError if samples are missing."""
    if not run.path("loadtest-run.json").exists():
        raise StorageError(
            "nothing was measured in this run: it has no loadtest-run.json, as it ended before its load test did",
            where=Place(str(run.path("loadtest-run.json"))),
            hint="`deploykit up` goes on from where it ended, `deploykit loadtest` measures what serves",
        )
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
    """Measure, compare and report a run; every step's value is written beside the samples, the evidence last."""
    plan = run.read("plan.json", Plan)
    run.read("bundle/manifest.json", Manifest)
    run.read("deployment.json", Deployment)
    measured = measure(loadtest)
    pricing = price_inputs(catalog, plan, cost, now=world.clock.now(), measured=measured)
    run.write("pricing.json", pricing)
    run.write(PARITY, with_scores(run, catalog, plan, pricing.offers))
    basis = _basis(run, world, not_exercised=_not_exercised(plan, catalog))
    made = _write(run, basis, remade(run, loadtest, basis, measured=measured))
    assert isinstance(made, Report)  # noqa: S101 - the run has a plan
    return made


class Target(Value):
    """`target.json`: the address that a run measured, where it was no deployment of ours."""

    format: Literal["deploykit/target/1"] = "deploykit/target/1"
    base_url: str
    model: str


def save_found(run: RunFolder, found: Found) -> None:
    """Write what was found, if anything was, for this report and later ones."""
    if found != Found():
        run.write(FOUND, found)


def make_loadtest_report(run: RunFolder, loadtest: LoadTestRun, world: World) -> LoadTestReport:
    """Measure and report a load test of an address."""
    basis = _basis(run, world)
    made = _write(run, basis, remade(run, loadtest, basis))
    assert isinstance(made, LoadTestReport)  # noqa: S101 - the run has no plan
    return made


def _basis(run: RunFolder, world: World, *, not_exercised: tuple[str, ...] = ()) -> Basis:
    return Basis(
        run=run.directory.name,
        made_at=world.clock.now(),
        versions=dict(world.versions),
        not_exercised=not_exercised,
    )


def _write(run: RunFolder, basis: Basis, parts: Iterable[Part]) -> Report | LoadTestReport:
    """Write each part as soon as it is made, then the evidence; return the report."""
    told = None
    for part in parts:
        run.write_text(part.name, part.text)
        told = part.report or told
    assert told is not None  # noqa: S101 - one of the parts is the report
    save_evidence(run, basis)
    return told


def _not_exercised(plan: Plan, catalog: Catalog) -> tuple[str, ...]:
    """Return what of the real model's road the stand-in does not run; nothing where the model itself is served."""
    recipe = catalog.standin(plan.stand_in).stand_in if plan.stand_in else None
    return recipe.not_exercised if recipe else ()
