"""A load test run -> what a report keeps of it: a summary without samples, measurements with what plots need."""

from collections import Counter
from typing import Protocol

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import Workload
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.repeating import RepeatedMeasurements
from deploykit.measuring.samples import EngineCounters, GeneratorFacts, LoadTestRun
from deploykit.measuring.searching import GoodputResult
from deploykit.measuring.sweeping import SweepResult
from deploykit.reporting.distributions import Curve, thinned

_ERRORS, _ERROR_LENGTH = 5, 300


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


class LoadTested(Protocol):
    """Anything that tells a load test: a run's whole report, or that of a load test alone."""

    @property
    def measurements(self) -> Measurements:
        """All stages, reduced."""

    @property
    def load(self) -> LoadSummary:
        """The load test without its samples."""

    @property
    def curves(self) -> tuple[Curve, ...]:
        """Latency distributions of the priced window."""

    @property
    def sweep(self) -> SweepResult | None:
        """Loads up to saturation."""

    @property
    def goodput(self) -> GoodputResult | None:
        """The highest rate whose SLO share holds."""

    @property
    def repeated(self) -> RepeatedMeasurements | None:
        """Several runs of one load test."""


def load_summary(run: LoadTestRun) -> LoadSummary:
    """Return the run without its samples."""
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


def reduced(measurements: Measurements) -> Measurements:
    """Return measurements without `usage`, which is in measurements.json, and with `throughput` thinned."""
    stages = tuple(stage.model_copy(update={"throughput": thinned(stage.throughput)}) for stage in measurements.stages)
    return measurements.model_copy(update={"usage": (), "stages": stages})
