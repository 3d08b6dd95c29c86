"""Samples of the priced window -> the few points that a latency plot needs, so that a report stays small."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.measuring.measurements import StageMeasurement, ThroughputPoint
from deploykit.measuring.samples import RequestSample

Metric = Literal["ttft", "tpot", "itl", "e2e"]
CURVE_POINTS = 120
TRACE_POINTS = 180


class Curve(Value):
    """An empirical distribution: the share of values at or below each number of seconds."""

    metric: Metric
    count: int = Field(description="Values it was made from.")
    seconds: tuple[float, ...]
    shares: tuple[float, ...]


def curves(samples: Iterable[RequestSample], stage: StageMeasurement) -> tuple[Curve, ...]:
    """Return a curve per latency of the stage's window; a latency without values has none."""
    inside = [sample for sample in samples if _counts(sample, stage)]
    made = [_curve(metric, [v for sample in inside for v in values(sample)]) for metric, values in _VALUES.items()]
    # Where the measurement withholds a latency, so does the plot.
    return tuple(curve for curve in made if curve.count and getattr(stage, curve.metric).count)


def thinned(points: tuple[ThroughputPoint, ...], limit: int = TRACE_POINTS) -> tuple[ThroughputPoint, ...]:
    """Return at most `limit` points: means over neighbours."""
    if len(points) <= limit:
        return points
    size = -(-len(points) // limit)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return tuple(
        ThroughputPoint(
            at_s=sum(p.at_s for p in group) / len(group),
            output_tokens_per_s=sum(p.output_tokens_per_s for p in group) / len(group),
            requests_in_flight=sum(p.requests_in_flight for p in group) / len(group),
        )
        for group in groups
    )


def _counts(sample: RequestSample, stage: StageMeasurement) -> bool:
    if sample.stage != stage.stage or sample.outcome != "ok" or sample.last_token_s is None:
        return False
    ended = sample.last_token_s if sample.done_s is None else sample.done_s
    return stage.window_start_s <= ended <= stage.window_end_s


def _ttft(sample: RequestSample) -> list[float]:
    return [] if sample.first_token_s is None else [sample.first_token_s - sample.intended_s]


def _tpot(sample: RequestSample) -> list[float]:
    if sample.first_token_s is None or sample.last_token_s is None or (sample.output_tokens or 0) < 2:
        return []
    return [(sample.last_token_s - sample.first_token_s) / ((sample.output_tokens or 0) - 1)]


def _itl(sample: RequestSample) -> list[float]:
    return [later - earlier for earlier, later in pairwise(sample.token_events_s)]


def _e2e(sample: RequestSample) -> list[float]:
    return [] if sample.last_token_s is None else [sample.last_token_s - sample.intended_s]


_VALUES: dict[Metric, Callable[[RequestSample], list[float]]] = {"ttft": _ttft, "tpot": _tpot, "itl": _itl, "e2e": _e2e}


def _curve(metric: Metric, values: list[float]) -> Curve:
    ordered, count = sorted(values), len(values)
    if count <= CURVE_POINTS:
        ranks = list(range(count))
    else:
        # Even steps in the middle; the last percent has steps of its own, because the tail is what a reader looks for.
        body = [round(i * (count - 1) / (CURVE_POINTS - 21)) for i in range(CURVE_POINTS - 20)]
        tail = [round((0.99 + 0.01 * i / 20) * (count - 1)) for i in range(21)]
        ranks = sorted({*body, *tail})
    return Curve(
        metric=metric,
        count=count,
        seconds=tuple(round(ordered[rank], 6) for rank in ranks),
        shares=tuple(round((rank + 1) / count, 6) for rank in ranks),
    )
