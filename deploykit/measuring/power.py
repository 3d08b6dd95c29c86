"""GPU power readings around a window -> its energy and joules per token, or why they can't be told."""

import datetime as dt
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field

from deploykit.base import Value

_GAP_S = 5.0
"""Longer without a reading, and what went on meanwhile is not known."""


class PowerReading(Value):
    """All GPUs of the meter at one moment."""

    at: dt.datetime
    gpus: int = Field(ge=1)
    watts: float = Field(ge=0, description="Of all of them together.")
    joules: float | None = Field(None, description="Their energy counters' sum, where they have one.")


class PowerLog(Value):
    """`power.json`: what a meter told while a load test ran."""

    format: Literal["deploykit/power/1"] = "deploykit/power/1"
    source: str = Field(description="`nvml`, or the address of the DCGM exporters.")
    readings: tuple[PowerReading, ...]
    errors: tuple[str, ...] = Field((), description="What kept it from reading, each once.")


class StagePower(Value):
    """A stage's energy. The GPUs' alone: processors, memory, fans and losses of the supply are not in it."""

    watts: float | None = Field(None, description="Mean over the window, all GPUs.")
    joules: float | None = None
    joules_per_output_token: float | None = None
    joules_per_token: float | None = Field(None, description="Input and output together.")
    valid: bool
    why: str | None = Field(None, description="Why it is not valid.")


def stage_power(
    log: PowerLog, begin: dt.datetime, end: dt.datetime, *, output_tokens: float, tokens: float
) -> StagePower:
    """Return the energy of a window in which so many tokens were served.

    Energy is the energy counters' growth, interpolated at the window's edges; where there are none, the trapezoid sum
    of the power readings. It is valid where readings reach over both edges, none is more than 5 s from the next,
    and the same number of GPUs told each time.
    """
    inside = _around(log.readings, begin, end)
    why = _doubt(inside, begin, end)
    if why is not None:
        return StagePower(valid=False, why=f"{why}; {log.errors[0]}" if log.errors else why)
    joules = _counted(inside, begin, end)
    if joules is None:
        joules = _summed(inside, begin, end)
    return StagePower(
        watts=joules / (end - begin).total_seconds(),
        joules=joules,
        joules_per_output_token=joules / output_tokens if output_tokens else None,
        joules_per_token=joules / tokens if tokens else None,
        valid=True,
    )


def _around(readings: Sequence[PowerReading], begin: dt.datetime, end: dt.datetime) -> list[PowerReading]:
    """Return the readings of the window, with the last before and the first after it."""
    ordered = sorted(readings, key=lambda reading: reading.at)
    before = [r for r in ordered if r.at <= begin][-1:]
    after = [r for r in ordered if r.at >= end][:1]
    return [*before, *(r for r in ordered if begin < r.at < end), *after]


def _doubt(inside: Sequence[PowerReading], begin: dt.datetime, end: dt.datetime) -> str | None:
    if end <= begin:
        return "the window is empty"
    if len(inside) < 2 or inside[0].at > begin or inside[-1].at < end:
        return "the readings do not reach over the whole window"
    gap = max((later.at - earlier.at).total_seconds() for earlier, later in pairwise(inside))
    if gap > _GAP_S:
        return f"there was no reading for {gap:.1f} s"
    if len({reading.gpus for reading in inside}) > 1:
        return "the number of GPUs that told changed"
    return None


def _counted(inside: Sequence[PowerReading], begin: dt.datetime, end: dt.datetime) -> float | None:
    """Return the counters' growth over the window; None where one is missing or went down."""
    counters = [reading.joules for reading in inside]
    if any(value is None for value in counters) or any(
        later < earlier for earlier, later in pairwise(value for value in counters if value is not None)
    ):
        return None
    found = _at(inside, end, "joules") - _at(inside, begin, "joules")
    return found if found > 0 else None


def _summed(inside: Sequence[PowerReading], begin: dt.datetime, end: dt.datetime) -> float:
    """Return the area under the power readings, by trapezoids."""
    points = [(begin, _at(inside, begin, "watts"))]
    points += [(reading.at, reading.watts) for reading in inside if begin < reading.at < end]
    points.append((end, _at(inside, end, "watts")))
    return sum(
        (later - earlier).total_seconds() * (one + other) / 2 for (earlier, one), (later, other) in pairwise(points)
    )


def _at(inside: Sequence[PowerReading], at: dt.datetime, name: str) -> float:
    """Return a figure at a moment between two readings, on the line between them."""
    before = [reading for reading in inside if reading.at <= at][-1]
    after = next(reading for reading in inside if reading.at >= at)
    low, high = float(getattr(before, name)), float(getattr(after, name))
    span = (after.at - before.at).total_seconds()
    return low if span == 0 else low + (high - low) * (at - before.at).total_seconds() / span
