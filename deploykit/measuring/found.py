"""What a sweep, a search or repeated runs found beyond the stages; and the same again, from the stages alone."""

from collections.abc import Sequence
from typing import assert_never

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import ClosedLoop, OpenLoop, Stage, TraceReplay
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.repeating import RepeatedMeasurements, combine
from deploykit.measuring.searching import GoodputResult, find_goodput, trial_of
from deploykit.measuring.sweeping import SweepResult, point_of, sweep


class Found(Value):
    """`found.json`: each is null where it was not asked for."""

    sweep: SweepResult | None = None
    goodput: GoodputResult | None = None
    repeated: RepeatedMeasurements | None = None
    spoiled: tuple[int, ...] = Field(
        (), description="Stages of trials that the generator spoiled: they tell nothing of the engine."
    )


def found_again(
    found: Found, stages: Sequence[Stage], measured: Measurements, trials: Sequence[Measurements], *, gpus: int
) -> Found:
    """Return what the measurements give for what was found; a part that they do not give comes back null.

    Args:
        found: what was found; its plan or goal, and each point's own verdict, are taken from it.
        stages: the loads of the run's stages, in their order.
        measured: the run's measurements, a stage for each trial of a sweep or a search.
        trials: the measurements of repeated runs, each of its own.
        gpus: how many GPUs served, 0 where that is not known.

    """
    return Found(
        sweep=_sweep(found.sweep, stages, measured, gpus) if found.sweep else None,
        goodput=_goodput(found, found.goodput, stages, measured) if found.goodput else None,
        repeated=combine(trials) if found.repeated and trials else None,
        spoiled=found.spoiled,
    )


def _sweep(found: SweepResult, stages: Sequence[Stage], measured: Measurements, gpus: int) -> SweepResult | None:
    if len(stages) != len(found.points):
        return None
    points = [
        point_of(stage, load=_load(spec), gpus=gpus, verdict=point.verdict)
        for spec, stage, point in zip(stages, measured.stages, found.points, strict=True)
    ]
    again = sweep(points, found.plan)
    return again if isinstance(again, SweepResult) else None


def _goodput(
    found: Found, goodput: GoodputResult, stages: Sequence[Stage], measured: Measurements
) -> GoodputResult | None:
    trials = [
        trial_of(stage, rate=_load(spec))
        for index, (spec, stage) in enumerate(zip(stages, measured.stages, strict=True))
        if index not in found.spoiled
    ]
    again = find_goodput(trials, goodput.goal)
    return again if isinstance(again, GoodputResult) else None


def _load(stage: Stage) -> float:
    match stage:
        case ClosedLoop():
            return float(stage.users)
        case OpenLoop():
            return stage.requests_per_s
        case TraceReplay():
            return stage.speed  # no sweep or search replays a trace
        case _:
            assert_never(stage)
