"""Everything a run made -> one Report: enough, alone, to write report.md and report.html again."""

import datetime as dt
import re
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.score import PublishedScores
from deploykit.caveat import Caveat, Weight
from deploykit.costing.costs import Comparison
from deploykit.costing.decision import Decision
from deploykit.costing.parity import OfferParity
from deploykit.deploying.deployment import Deployment
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.repeating import RepeatedMeasurements
from deploykit.measuring.samples import LoadTestRun
from deploykit.measuring.searching import GoodputResult
from deploykit.measuring.sweeping import SweepResult
from deploykit.planning.plan import Plan
from deploykit.rendering.bundle import Manifest
from deploykit.reporting.distributions import Curve, curves
from deploykit.reporting.load import LoadSummary, load_summary, reduced

REHEARSAL = "Rehearsal: hardware and weights are stand-ins; its dollars prove the road, not the price."
_WEIGHTS = (Weight.INVALID, Weight.DOUBT, Weight.NOTE)


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
    decisions: tuple[Decision, ...] = Field(
        (), description="Each way to pay for the nodes against an API; the answer first."
    )
    parity: tuple[OfferParity, ...] = Field((), description="Whether each offer is the same service as ours.")
    published: tuple[PublishedScores, ...] = Field((), description="Scores as published; none was run here.")
    sweep: SweepResult | None = None
    goodput: GoodputResult | None = None
    repeated: RepeatedMeasurements | None = None
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
    sweep: SweepResult | None = None,
    goodput: GoodputResult | None = None,
    repeated: RepeatedMeasurements | None = None,
    decisions: tuple[Decision, ...] = (),
    parity: tuple[OfferParity, ...] = (),
    published: tuple[PublishedScores, ...] = (),
) -> Report:
    """Put a run's values together; samples are reduced to what plots need."""
    return Report(
        headline=REHEARSAL if comparison.rehearsal else sentences(comparison.says)[0],
        verdict=comparison.says,
        rehearsal=comparison.rehearsal,
        made_at=now,
        plan=plan,
        manifest=manifest,
        deployment=deployment,
        load=load_summary(run),
        curves=curves(run.samples, measurements.priced),
        measurements=reduced(measurements),
        comparison=comparison,
        decisions=decisions,
        sweep=sweep,
        goodput=goodput,
        repeated=repeated,
        parity=parity,
        published=published,
        not_exercised=not_exercised,
        caveats=_by_weight(plan, deployment, measurements, comparison, parity),
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


def _by_weight(
    plan: Plan,
    deployment: Deployment,
    measurements: Measurements,
    comparison: Comparison,
    parity: tuple[OfferParity, ...],
) -> tuple[Caveat, ...]:
    """Every caveat once: a doubt that two stages raise in the same words is one doubt; what did not run has a section."""
    of_plan = tuple(caveat for caveat in plan.caveats if caveat.code != "not-exercised")
    every = (
        *_of_other_services(parity, comparison),
        *comparison.all_caveats,
        *measurements.caveats,
        *deployment.caveats,
        *of_plan,
    )
    once = tuple(dict.fromkeys(every))
    return tuple(caveat for weight in _WEIGHTS for caveat in once if caveat.weight is weight)


def _of_other_services(parity: tuple[OfferParity, ...], comparison: Comparison) -> tuple[Caveat, ...]:
    """Return a doubt for each offer that is another service than ours: a verdict that names it compares unlike things."""
    titles = {offer.offer: offer.title for offer in comparison.offers}
    return tuple(
        Caveat(code="not-comparable", weight=Weight.DOUBT, says=f"{titles.get(each.offer, each.offer)} is {each.says}.")
        for each in parity
        if each.comparable is False
    )


def _commands(plan: Plan) -> tuple[str, ...]:
    again = f"deploykit up {plan.model} --node {plan.node} --workload {plan.workload}"
    nodes = f" --nodes {plan.nodes}" if plan.nodes > 1 else ""
    return (f"{again}{nodes} --again", "deploykit report latest --markdown")
