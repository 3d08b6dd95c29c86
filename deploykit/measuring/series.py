"""A stage's samples -> what was served and what was in flight, in short intervals of equal length."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from deploykit.measuring.measurements import ThroughputPoint
from deploykit.measuring.samples import RequestSample
from deploykit.measuring.window import Window, ended_at

_MOST_POINTS = 200
_FINE = 250


class Bins(NamedTuple):
    """Intervals of `step` seconds from `start`: output tokens that came, input tokens taken in, seconds of requests in flight."""

    start: float
    step: float
    per_point: int
    output: list[float]
    taken_in: list[float]
    busy: list[float]

    def since(self, at: float) -> int:
        """Return the first interval that lies at or after a moment in whole."""
        return min(len(self.output), max(0, math.ceil((at - self.start) / self.step - 1e-9)))


def binned(samples: Iterable[RequestSample], stage: Window) -> Bins:
    """Cut a stage into intervals: 250 or more, so many that a whole number of them is a point of the plot.

    Tokens are those of requests that succeeded, spread evenly over their events, as throughput counts them; in flight is
    every request that was sent.
    """
    point = max(1.0, stage.seconds / _MOST_POINTS)
    points = int(stage.seconds / point)
    fine = -(-_FINE // points) if points else 1
    step, count = point / fine, points * fine
    bins = Bins(stage.start, step, fine, [0.0] * count, [0.0] * count, [0.0] * count)

    def place(at: float) -> float:
        return (at - stage.start) / step + 1e-9  # a moment on an edge belongs to what begins there

    for sample in samples:
        begin, end = sample.sent_s if sample.sent_s is not None else sample.intended_s, ended_at(sample)
        for index in range(max(0, math.floor(place(begin))), min(count - 1, math.floor(place(end))) + 1):
            low = stage.start + index * step
            bins.busy[index] += Window(low, low + step).shares(begin, end)
        if sample.outcome != "ok":
            continue
        times = [begin + event for event in sample.token_events_s] or [end]
        each = (sample.output_tokens or 0) / len(times)
        for at in times:
            if 0 <= (where := (at - stage.start) / step + 1e-9) < count:
                bins.output[int(where)] += each
        first = sample.first_token_s if sample.first_token_s is not None else end
        if 0 <= (where := place(first)) < count:
            bins.taken_in[int(where)] += sample.prompt_tokens or 0
    return bins


def throughput(bins: Bins) -> tuple[ThroughputPoint, ...]:
    """Return output tokens per second and mean requests in flight, for each second of a stage (200 points at most)."""
    size = bins.per_point
    length = size * bins.step

    def mean(values: Sequence[float], index: int) -> float:
        return round(math.fsum(values[index * size : (index + 1) * size]) / length, 9)

    return tuple(
        ThroughputPoint(
            at_s=round((index + 0.5) * length, 3),
            output_tokens_per_s=mean(bins.output, index),
            requests_in_flight=mean(bins.busy, index),
        )
        for index in range(len(bins.output) // size)
    )
