"""Paired runs -> each metric judged: its change with the interval, and what that says against the margin."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from deploykit.base import Value
from deploykit.gating import metrics
from deploykit.gating.metrics import Metric
from deploykit.gating.noise import NoisePair
from deploykit.gating.paired import Effect, chance_of, effect_of, equivalent, holm, noise_floor, pairs_to_decide
from deploykit.gating.run import GateRun


class Judged(Value):
    """One metric, judged."""

    key: str
    title: str
    better: Literal["more", "less"]
    scale: Literal["log", "difference"] = Field(description="`difference`: of shares; the changes are in them, too.")
    margin: float
    note: str
    base: tuple[float | None, ...] = Field(description="Of each run, in the order of the pairs.")
    head: tuple[float | None, ...]
    base_mean: float | None = Field(description="Geometric on the log scale.")
    head_mean: float | None
    change: float | None = Field(description="Of the head, as a share of the base; positive is more, not better.")
    low: float | None = Field(description="95 % interval of the change, over the pairs.")
    high: float | None
    noise_floor: float | None = Field(
        description="Spread of A/A pairs on the metric's scale; null where none are known."
    )
    p_worse: float | None = Field(description="Of a change that is worse by the margin at most, or better; one-sided.")
    p_better: float | None
    not_worse: bool = Field(description="Whether the interval excludes a change that is worse by the margin.")
    outcome: Literal["SAME", "IMPROVED", "REGRESSED", "UNCLEAR"]
    more_pairs: int | None = Field(
        description="That would decide, if they are like these; null if over 200, or decided."
    )
    because: str


class _Tested(NamedTuple):
    effect: Effect | None
    floor: float | None
    beyond: bool
    """Whether it lies beyond the margin, after Holm's correction."""


def judge_metrics(
    every: Sequence[Metric],
    base: Sequence[GateRun],
    head: Sequence[GateRun],
    noise: Sequence[NoisePair],
    *,
    decisive: bool,
) -> tuple[Judged, ...]:
    """Judge every metric; `noise` are pairs of A/A runs, and runs that are not `decisive` leave all UNCLEAR."""
    effects, floors = [], []
    for metric in every:
        floor = noise_floor([e for pair in noise if (e := _worse(metric, pair.one, pair.other)) is not None])
        pairs = [_worse(metric, one, other) for one, other in zip(base, head, strict=True)]
        known = [pair for pair in pairs if pair is not None]
        effects.append(effect_of(known, floor=floor or 0.0) if len(known) == len(pairs) else None)
        floors.append(floor)
    chances = [chance_of(e, m.limit) if e else (1.0, 1.0) for e, m in zip(effects, every, strict=True)]
    rejected = holm([min(chance) for chance in chances])
    tested = [_Tested(effect, floor, beyond) for effect, floor, beyond in zip(effects, floors, rejected, strict=True)]
    return tuple(
        _judge(metric, (base, head), one, tests=len(every), decisive=decisive)
        for metric, one in zip(every, tested, strict=True)
    )


def _worse(metric: Metric, base: GateRun, head: GateRun) -> float | None:
    one, other = base.figures[metric.key], head.figures[metric.key]
    return None if one is None or other is None else metrics.worse(metric, one, other)


def _judge(
    metric: Metric, arms: tuple[Sequence[GateRun], Sequence[GateRun]], tested: _Tested, *, tests: int, decisive: bool
) -> Judged:
    ours, theirs = (tuple(run.figures[metric.key] for run in runs) for runs in arms)
    effect = tested.effect
    outcome: Literal["SAME", "IMPROVED", "REGRESSED", "UNCLEAR"] = "UNCLEAR"
    because, more = "a run does not tell it", None
    if effect is not None:
        because = "the interval reaches over the margin"
        if equivalent(effect, metric.limit):
            outcome, because = "SAME", "the interval lies within the margin"
        elif tested.beyond:
            outcome = "REGRESSED" if effect.worse > 0 else "IMPROVED"
            because = "the interval lies beyond the margin"
        elif abs(effect.low) > metric.limit < abs(effect.high) and effect.low * effect.high > 0:
            because = "the interval lies beyond the margin, but not after Holm's correction"
        if not decisive:
            outcome, because = "UNCLEAR", f"{because}, but these runs decide nothing (see the caveats)"
        more = pairs_to_decide(effect, metric.limit, tests=tests) if outcome == "UNCLEAR" else None
    worse, better = chance_of(effect, metric.limit) if effect else (None, None)
    ends = sorted(metrics.change(metric, at) for at in (effect.low, effect.high)) if effect else [None, None]
    return Judged(
        key=metric.key,
        title=metric.title,
        better=metric.better,
        scale=metric.scale,
        margin=metric.margin,
        note=metric.note,
        base=ours,
        head=theirs,
        base_mean=metrics.mean(metric, ours),
        head_mean=metrics.mean(metric, theirs),
        change=metrics.change(metric, effect.worse) if effect else None,
        low=ends[0],
        high=ends[1],
        noise_floor=tested.floor,
        p_worse=worse,
        p_better=better,
        not_worse=effect is not None and effect.high < metric.limit,
        outcome=outcome,
        more_pairs=more,
        because=because,
    )
