"""Measured loads, each heavier than the last -> the next load, or what the sweep says: saturation, knee and Pareto front.

Loads go up in geometric steps. A sweep stops when two steps in a row did not make throughput grow by more than its noise
(3 % at least: half of both intervals' widths, where they are known), when fewer than half as many requests were good as
the SLO asks, at the heaviest load, or when a load could not be measured at all.

The *knee* is the load with the most power (Kleinrock 1979): throughput times the speed that each user sees. Below it
users wait little and the machine has room, above it more load costs users more than the machine gains.
The *front* holds the loads that no other beats in both tokens/s/user and tokens/s/GPU.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from deploykit.base import Value
from deploykit.measuring.measurements import Interval, StageMeasurement

_FLAT = 0.03
_HOPELESS = 0.5


class SweepPoint(Value):
    """One load, measured."""

    load: float = Field(gt=0, description="Users in a closed loop, requests per second in an open one.")
    output_tokens_per_s: float = Field(ge=0)
    interval: Interval | None = Field(None, description="Of `output_tokens_per_s`.")
    total_tokens_per_s: float = Field(0, ge=0)
    tokens_per_s_per_user: float | None = None
    tokens_per_s_per_gpu: float | None = Field(None, description="Output tokens; null where no GPU is known.")
    good_share: float = Field(ge=0, le=1)
    requests: int = Field(0, ge=0)
    slo_met: bool = False
    verdict: Literal["VALID", "UNCLEAR", "INVALID"] = "VALID"


class SweepPlan(Value):
    """Which loads a sweep takes."""

    of: Literal["users", "requests/s"]
    start: float = Field(gt=0)
    highest: float = Field(gt=0)
    factor: float = Field(2.0, gt=1)
    share: float = Field(gt=0, le=1, description="Of requests that must be good: the SLO's.")
    most_points: int = Field(16, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> "SweepPlan":
        if self.start > self.highest:
            msg = f"the first load ({self.start:g}) is above the highest ({self.highest:g})"
            raise ValueError(msg)
        return self


class NextLoad(Value):
    """The load to measure now."""

    load: float


class SweepResult(Value):
    """Every load, and what they say together; `knee`, `best` and `front` are indices of `points`."""

    format: Literal["deploykit/sweep/1"] = "deploykit/sweep/1"
    plan: SweepPlan
    points: tuple[SweepPoint, ...]
    stopped: Literal["saturated", "hopeless", "end", "invalid"]
    says: str
    knee: int | None = None
    best: int | None = Field(None, description="Most throughput among the loads that met the SLO.")
    front: tuple[int, ...] = Field((), description="The slowest for each user first.")


def point_of(
    stage: StageMeasurement, *, load: float, gpus: int, verdict: Literal["VALID", "UNCLEAR", "INVALID"]
) -> SweepPoint:
    """Return a measured stage as a point of a sweep; `gpus` are all that served it, 0 if there was none."""
    within = stage.within_run.intervals if stage.within_run else {}
    return SweepPoint(
        load=load,
        output_tokens_per_s=stage.output_tokens_per_s,
        interval=within.get("output_tokens_per_s"),
        total_tokens_per_s=stage.total_tokens_per_s,
        tokens_per_s_per_user=stage.tokens_per_s_per_user,
        tokens_per_s_per_gpu=stage.output_tokens_per_s / gpus if gpus else None,
        good_share=stage.good_requests / stage.requests if stage.requests else 0.0,
        requests=stage.requests,
        slo_met=stage.slo_met,
        verdict=verdict,
    )


def sweep(points: Sequence[SweepPoint], plan: SweepPlan) -> NextLoad | SweepResult:
    """Return the next load to measure, or the result."""
    if not points:
        return NextLoad(load=_whole(plan.start, plan))
    last = points[-1]
    at = f"at {_load(last, plan)}"
    if last.verdict == "INVALID":
        return _result(points, plan, "invalid", f"{at} the load test was INVALID")
    if last.good_share < _HOPELESS * plan.share:
        return _result(points, plan, "hopeless", f"{at} only {last.good_share:.1%} of the requests were good")
    if len(points) > 2 and not _grew(points[-3], points[-2]) and not _grew(points[-2], last):
        since = _load(points[-3], plan)
        return _result(points, plan, "saturated", f"from {since} on throughput no longer grew beyond noise")
    if last.load >= plan.highest or len(points) >= plan.most_points:
        why = "the heaviest load asked for" if last.load >= plan.highest else "the last of the loads asked for"
        return _result(points, plan, "end", f"{at}, {why}, it was not yet seen to be saturated")
    step = max(last.load * plan.factor, last.load + 1) if plan.of == "users" else last.load * plan.factor
    return NextLoad(load=_whole(min(step, plan.highest), plan))


def knee(points: Sequence[SweepPoint]) -> int | None:
    """Return the index of the load with the most power; None if no load has one."""
    powers = [
        (point.output_tokens_per_s * point.tokens_per_s_per_user, -index)
        for index, point in enumerate(points)
        if point.tokens_per_s_per_user and point.verdict != "INVALID"
    ]
    return -max(powers)[1] if powers else None


def front(points: Sequence[SweepPoint]) -> tuple[int, ...]:
    """Return the loads that no other beats in both tokens/s/user and tokens/s (for each GPU where they are known)."""

    def gives(point: SweepPoint) -> float:
        return point.output_tokens_per_s if point.tokens_per_s_per_gpu is None else point.tokens_per_s_per_gpu

    known = [
        (p.tokens_per_s_per_user, gives(p), i)
        for i, p in enumerate(points)
        if p.tokens_per_s_per_user and p.verdict != "INVALID"
    ]
    best, most = [], -1.0
    for _, given, index in sorted(known, key=lambda one: (-one[0], -one[1], one[2])):
        if given > most:
            most = given
            best.append(index)
    return tuple(reversed(best))


def _grew(before: SweepPoint, after: SweepPoint) -> bool:
    noise = _FLAT * before.output_tokens_per_s
    widths = [
        (point.interval.high - point.interval.low) / 2
        for point in (before, after)
        if point.interval is not None and point.interval.high is not None
    ]
    if len(widths) == 2:
        noise = max(noise, sum(width**2 for width in widths) ** 0.5)
    return after.output_tokens_per_s - before.output_tokens_per_s > noise


def _whole(load: float, plan: SweepPlan) -> float:
    return float(max(1, round(load))) if plan.of == "users" else float(f"{load:.6g}")


def _load(point: SweepPoint, plan: SweepPlan) -> str:
    return f"{point.load:g} {plan.of}"


def _result(
    points: Sequence[SweepPoint],
    plan: SweepPlan,
    stopped: Literal["saturated", "hopeless", "end", "invalid"],
    says: str,
) -> SweepResult:
    met = [
        (p.total_tokens_per_s or p.output_tokens_per_s, -i)
        for i, p in enumerate(points)
        if p.slo_met and p.verdict != "INVALID"
    ]
    return SweepResult(
        plan=plan, points=tuple(points), stopped=stopped, says=says, knee=knee(points), best=-max(met)[1] if met else None,
        front=front(points),
    )  # fmt: skip
