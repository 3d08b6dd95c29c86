"""Measurements -> how many tokens an hour the hardware serves at the SLO, and how sure that is."""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.costing.bill import SECONDS_PER_HOUR, KindTokens
from deploykit.measuring.measurements import Interval, Measurements
from deploykit.measuring.repeating import RepeatedMeasurements

_FIGURE = "total_tokens_per_s"
_LEVEL = Decimal("0.95")


class Capacity(Value):
    """Tokens an hour of all nodes together, fully loaded: fresh and cached input and output, in one mix."""

    tokens_per_hour: Decimal = Field(gt=0)
    low: Decimal | None = Field(None, description="Null: nobody knows how far it may be off.")
    high: Decimal | None = None
    level: Decimal | None = Field(
        None, description="Share of cases that lie from `low` to `high`; null are the bounds."
    )
    basis: Literal["measured", "predicted", "published", "stated"]
    says: str


def measured_capacity(
    measurements: Measurements, tokens: KindTokens, repeated: RepeatedMeasurements | None = None
) -> Capacity:
    """Return what the priced stage served in its window; of the intervals within a run and over runs, the wider one."""
    priced = measurements.priced
    per_hour = tokens.total * SECONDS_PER_HOUR / Decimal(str(priced.window_s))
    found = _interval(measurements, repeated)
    if found is None:
        return Capacity(
            tokens_per_hour=per_hour, basis="measured", says="measured once; the window was too short for an interval"
        )
    low, high, how = found
    return Capacity(
        tokens_per_hour=per_hour, low=per_hour * low, high=per_hour * high, level=_LEVEL, basis="measured", says=how
    )


def _interval(measurements: Measurements, repeated: RepeatedMeasurements | None) -> tuple[Decimal, Decimal, str] | None:
    """Return the bounds over the figure that they are of."""
    priced = measurements.priced
    found: list[tuple[Decimal, Decimal, str]] = []
    within = priced.within_run.intervals.get(_FIGURE) if priced.within_run is not None else None
    if within is not None:
        found += _relative(within, priced.total_tokens_per_s, "measured, 95 % interval within the run")
    if repeated is not None:
        for stage in repeated.stages:
            figure = stage.figure(_FIGURE)
            if stage.stage == priced.stage and figure.interval is not None and figure.mean:
                found += _relative(figure.interval, figure.mean, f"measured, 95 % interval over {repeated.runs} runs")
    return max(found, key=lambda each: each[1] - each[0], default=None)


def _relative(interval: Interval, middle: float, says: str) -> list[tuple[Decimal, Decimal, str]]:
    if interval.high is None or middle <= 0 or interval.low <= 0:
        return []
    low, high = (Decimal(str(round(end / middle, 6))) for end in (interval.low, interval.high))
    return [(min(low, Decimal(1)), max(high, Decimal(1)), says)]
