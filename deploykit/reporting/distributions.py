"""Samples of the priced window -> the few points that a latency plot needs, so that a report stays small."""

from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.measuring import censoring
from deploykit.measuring import window as w
from deploykit.measuring.measurements import StageMeasurement, ThroughputPoint
from deploykit.measuring.samples import RequestSample

Metric = Literal["ttft", "tpot", "itl", "e2e"]
CURVE_POINTS = 120
TRACE_POINTS = 180


class Curve(Value):
    """An empirical distribution: the share of values at or below each number of seconds.

    It ends below 1 where requests failed: their times are longer than any that was seen.
    """

    metric: Metric
    count: int = Field(description="Values it was made from, those that a failure cut short included.")
    seconds: tuple[float, ...]
    shares: tuple[float, ...]


def curves(samples: Iterable[RequestSample], stage: StageMeasurement) -> tuple[Curve, ...]:
    """Return a curve per latency of the stage's window; a latency without values has none."""
    window = w.Window(stage.window_start_s, stage.window_end_s)
    of_stage = [sample for sample in samples if sample.stage == stage.stage]
    inside = [*w.succeeded(of_stage, window), *w.failed(of_stage, window)]
    made = [_curve(metric, known(inside)) for metric, known in _KNOWN.items()]
    # Where the measurement withholds a latency, so does the plot.
    return tuple(curve for curve in made if curve.seconds and getattr(stage, curve.metric).max is not None)


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


_KNOWN: dict[Metric, Callable[[list[RequestSample]], censoring.Known]] = {
    "ttft": censoring.ttft,
    "tpot": censoring.tpot,
    "itl": censoring.gaps,
    "e2e": censoring.e2e,
}


def _curve(metric: Metric, known: censoring.Known) -> Curve:
    ordered, count, every = sorted(known.seen), len(known.seen), len(known.seen) + len(known.cut)
    if count <= CURVE_POINTS:
        ranks = list(range(count))
    else:
        # Even steps in the middle; the last percent has steps of its own, because the tail is what a reader looks for.
        body = [round(i * (count - 1) / (CURVE_POINTS - 21)) for i in range(CURVE_POINTS - 20)]
        tail = [round((0.99 + 0.01 * i / 20) * (count - 1)) for i in range(21)]
        ranks = sorted({*body, *tail})
    return Curve(
        metric=metric,
        count=every,
        seconds=tuple(round(ordered[rank], 6) for rank in ranks),
        shares=tuple(round((rank + 1) / every, 6) for rank in ranks),
    )
