"""Measurements of the same load test, made several times -> each figure's mean over the runs, with its interval.

The interval is Student's over the runs, each one value: what differs from run to run is in it, which no interval from
within one run can know. A run that is INVALID is counted and named, and its figures are left out. Three usable runs are
needed for VALID: of two, the t of 12.7 makes any interval useless.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.caveat import Caveat, Weight
from deploykit.errors import LoadTestError
from deploykit.measuring.intervals import mean_interval
from deploykit.measuring.measurements import Interval, Measurements, StageMeasurement

FEWEST_RUNS = 3


class RepeatedFigure(Value):
    """One figure over the runs."""

    name: str = Field(description="As in a stage's measurement, a latency's quantile after a dot: `ttft.p99`.")
    values: tuple[float | None, ...] = Field(description="Of each usable run; null where it was not told.")
    mean: float | None = Field(description="Null unless every usable run tells it.")
    interval: Interval | None = Field(description="Null of fewer than two runs.")

    @property
    def relative_width(self) -> float | None:
        """Half of the interval's width, as a share of the mean."""
        if not self.mean or self.interval is None or self.interval.high is None:
            return None
        return (self.interval.high - self.interval.low) / 2 / self.mean


class RepeatedStage(Value):
    """One stage over the runs."""

    stage: int
    describes: str
    good_requests: int = Field(description="Of all usable runs together.")
    requests: int
    slo_met: int = Field(description="In so many of the usable runs.")
    figures: tuple[RepeatedFigure, ...]

    def figure(self, name: str) -> RepeatedFigure:
        """Return the figure of a name."""
        return next(figure for figure in self.figures if figure.name == name)


class RepeatedMeasurements(Value):
    """The runs of one load test together."""

    format: Literal["deploykit/repeated/1"] = "deploykit/repeated/1"
    workload: str
    runs: int
    verdicts: tuple[Literal["VALID", "INVALID", "UNCLEAR"], ...] = Field(description="Of each run, in their order.")
    stages: tuple[RepeatedStage, ...]
    verdict: Literal["VALID", "INVALID", "UNCLEAR"]
    caveats: tuple[Caveat, ...]


def combine(runs: Sequence[Measurements]) -> RepeatedMeasurements:
    """Return what several runs say together.

    Raises LoadTestError if there is none, or if they are not of the same load.
    """
    if not runs:
        raise LoadTestError("there is no run to combine")
    if len({_load(run) for run in runs}) > 1:
        raise LoadTestError("the runs are of different loads: only runs of the same stages and SLO can be combined")
    usable = [run for run in runs if run.verdict != "INVALID"]
    stages = (
        tuple(_stage([run.stages[index] for run in usable]) for index in range(len(runs[0].stages))) if usable else ()
    )
    caveats = tuple(_caveats(runs, usable))
    return RepeatedMeasurements(
        workload=runs[0].workload,
        runs=len(runs),
        verdicts=tuple(run.verdict for run in runs),
        stages=stages,
        verdict="INVALID" if not usable else "UNCLEAR" if any(c.weight is Weight.DOUBT for c in caveats) else "VALID",
        caveats=caveats,
    )


def _load(run: Measurements) -> tuple[object, ...]:
    return (run.workload, run.slo, tuple(stage.describes for stage in run.stages))


def _caveats(runs: Sequence[Measurements], usable: Sequence[Measurements]) -> list[Caveat]:
    found = []
    invalid = [str(index + 1) for index, run in enumerate(runs) if run.verdict == "INVALID"]
    if invalid:
        says = f"run {', '.join(invalid)} of {len(runs)} is INVALID and left out"
        found.append(Caveat(code="runs-invalid", weight=Weight.DOUBT if usable else Weight.INVALID, says=says))
    if 0 < len(usable) < FEWEST_RUNS:
        says = f"{len(usable)} usable runs; {FEWEST_RUNS} are needed to know how much they differ"
        found.append(Caveat(code="few-runs", weight=Weight.DOUBT, says=says))
    unclear = [str(index + 1) for index, run in enumerate(runs) if run.verdict == "UNCLEAR"]
    if unclear:
        says = f"run {', '.join(unclear)} of {len(runs)} is UNCLEAR"
        found.append(Caveat(code="runs-unclear", weight=Weight.DOUBT, says=says))
    return found


def _stage(stages: Sequence[StageMeasurement]) -> RepeatedStage:
    first = stages[0]
    return RepeatedStage(
        stage=first.stage,
        describes=first.describes,
        good_requests=sum(stage.good_requests for stage in stages),
        requests=sum(stage.requests for stage in stages),
        slo_met=sum(stage.slo_met for stage in stages),
        figures=tuple(_figure(name, [value(stage) for stage in stages]) for name, value in FIGURES.items()),
    )


def _figure(name: str, values: Sequence[float | None]) -> RepeatedFigure:
    known = [value for value in values if value is not None]
    told = len(known) == len(values)
    return RepeatedFigure(
        name=name,
        values=tuple(values),
        mean=sum(known) / len(known) if told else None,
        interval=mean_interval(known) if told else None,
    )


def _quantile(metric: str, name: str) -> Callable[[StageMeasurement], float | None]:
    def value(stage: StageMeasurement) -> float | None:
        quantiles = getattr(stage, metric)
        return getattr(quantiles, name) if quantiles is not None else None

    return value


FIGURES: dict[str, Callable[[StageMeasurement], float | None]] = {
    "output_tokens_per_s": lambda stage: stage.output_tokens_per_s,
    "total_tokens_per_s": lambda stage: stage.total_tokens_per_s,
    "requests_per_s": lambda stage: stage.requests_per_s,
    "tokens_per_s_per_user": lambda stage: stage.tokens_per_s_per_user,
    **{
        f"{metric}.{name}": _quantile(metric, name)
        for metric in ("ttft", "ttft_answer", "tpot", "itl", "e2e")
        for name in ("p50", "p99")
    },
}
"""The figures that are compared over runs."""
