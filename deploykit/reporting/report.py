"""Everything a run made -> one Report: enough, alone, to write report.md and report.html again."""

import datetime as dt
import re
from collections import Counter
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import Workload
from deploykit.caveat import Caveat, Weight
from deploykit.costing.costs import Comparison
from deploykit.deploying.deployment import Deployment
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.samples import EngineCounters, GeneratorFacts, LoadTestRun
from deploykit.planning.plan import Plan
from deploykit.rendering.bundle import Manifest
from deploykit.reporting.distributions import Curve, curves, thinned

REHEARSAL = "Rehearsal: hardware and weights are stand-ins; its dollars prove the road, not the price."
_ERRORS, _ERROR_LENGTH = 5, 300
_WEIGHTS = (Weight.INVALID, Weight.DOUBT, Weight.NOTE)


class ErrorCount(Value):
    """An error that requests came back with; its text is the server's and not to be trusted."""

    says: str
    requests: int


class LoadSummary(Value):
    """The load test without its samples."""

    workload: Workload
    generator: GeneratorFacts
    before: EngineCounters | None
    after: EngineCounters | None
    requests: int = Field(description="In all stages, warm-up and drain included.")
    outcomes: dict[str, int]
    errors: tuple[ErrorCount, ...] = Field(description="The most frequent ones, cut short.")


class Report(Value):
    """A run, told: the verdict first, and all that it rests on."""

    format: Literal["deploykit/report/1"] = "deploykit/report/1"
    headline: str = Field(description="The first line of every form of the report; a rehearsal says that it is one.")
    verdict: str = Field(description="What the comparison says, in full.")
    rehearsal: bool
    made_at: dt.datetime
    plan: Plan
    manifest: Manifest
    deployment: Deployment
    load: LoadSummary
    curves: tuple[Curve, ...] = Field(description="Latency distributions of the priced window.")
    measurements: Measurements = Field(
        description="Without `usage`, which is in measurements.json, and with `throughput` thinned."
    )
    comparison: Comparison
    not_exercised: tuple[str, ...] = Field(description="What of the real road this run did not take.")
    caveats: tuple[Caveat, ...] = Field(description="Of every stage, the heaviest first.")
    versions: dict[str, str]
    commands: tuple[str, ...] = Field(description="How to make the run, and the report, again.")

    def caveats_of(self, weight: Weight) -> tuple[Caveat, ...]:
        """Return the caveats of one weight."""
        return tuple(caveat for caveat in self.caveats if caveat.weight is weight)


def report(  # noqa: PLR0913 - one argument per value of the pipeline, all by name
    *,
    plan: Plan,
    manifest: Manifest,
    deployment: Deployment,
    run: LoadTestRun,
    measurements: Measurements,
    comparison: Comparison,
    now: dt.datetime,
    versions: dict[str, str],
    not_exercised: tuple[str, ...] = (),
    commands: tuple[str, ...] | None = None,
) -> Report:
    """Put a run's values together; samples are reduced to what plots need."""
    stages = tuple(stage.model_copy(update={"throughput": thinned(stage.throughput)}) for stage in measurements.stages)
    return Report(
        headline=REHEARSAL if comparison.rehearsal else sentences(comparison.says)[0],
        verdict=comparison.says,
        rehearsal=comparison.rehearsal,
        made_at=now,
        plan=plan,
        manifest=manifest,
        deployment=deployment,
        load=_load(run),
        curves=curves(run.samples, measurements.priced),
        measurements=measurements.model_copy(update={"usage": (), "stages": stages}),
        comparison=comparison,
        not_exercised=not_exercised,
        caveats=_by_weight(plan, deployment, measurements, comparison),
        versions={
            "engine": deployment.engine_version,
            "locust": run.generator.locust,
            "python": run.generator.python,
            **versions,
        },
        commands=_commands(plan) if commands is None else commands,
    )


def sentences(text: str) -> list[str]:
    """Return the sentences of a text of ours: each ends in a full stop before a space and a capital."""
    return re.split(r"(?<=\.) (?=[A-Z])", text)


def rest(report: Report) -> str:
    """Return what the verdict says beyond the headline."""
    return report.verdict if report.rehearsal else " ".join(sentences(report.verdict)[1:])


def _load(run: LoadTestRun) -> LoadSummary:
    errors = Counter(sample.error[:_ERROR_LENGTH] for sample in run.samples if sample.error)
    return LoadSummary(
        workload=run.spec.workload,
        generator=run.generator,
        before=run.before,
        after=run.after,
        requests=len(run.samples),
        outcomes=dict(sorted(Counter(sample.outcome for sample in run.samples).items())),
        errors=tuple(ErrorCount(says=says, requests=count) for says, count in errors.most_common(_ERRORS)),
    )


def _by_weight(
    plan: Plan, deployment: Deployment, measurements: Measurements, comparison: Comparison
) -> tuple[Caveat, ...]:
    """Every caveat once: a doubt that two stages raise in the same words is one doubt; what did not run has a section."""
    of_plan = tuple(caveat for caveat in plan.caveats if caveat.code != "not-exercised")
    every = (*comparison.all_caveats, *measurements.caveats, *deployment.caveats, *of_plan)
    once = tuple(dict.fromkeys(every))
    return tuple(caveat for weight in _WEIGHTS for caveat in once if caveat.weight is weight)


def _commands(plan: Plan) -> tuple[str, ...]:
    again = f"deploykit up {plan.model} --node {plan.node} --workload {plan.workload}"
    nodes = f" --nodes {plan.nodes}" if plan.nodes > 1 else ""
    return (f"{again}{nodes} --again", "deploykit report latest --markdown")
