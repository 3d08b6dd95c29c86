"""Ranges -> what follows from them: drawn many times over (Monte Carlo), and one at a time (a tornado).

Ranges are triangular, throughput with a level is lognormal on each side of its centre. Everything is Decimal and the
stream of numbers is SplitMix64: the same seed gives the same digits on every machine.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from statistics import NormalDist

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.ranges import Range
from deploykit.costing.case import THROUGHPUT, Case, Outcome, outcome
from deploykit.costing.hourly import power
from deploykit.measuring.resampling import drawn_below

_DIGITS = 16
_BITS = 1 << 52
_NONE = Decimal(0)


class Spread(Value):
    """A figure with the 5 % and 95 % quantiles of its draws; null is never."""

    central: Decimal | None
    p5: Decimal | None
    p95: Decimal | None
    never: Decimal = Field(_NONE, description="Share of draws in which it never is.")


class Sway(Value):
    """What one guess does, all others at their centre."""

    name: str
    range: Range
    at_low: Decimal | None = Field(description="The figure with the guess at its low end; null is never.")
    at_high: Decimal | None


def centre(case: Case) -> Outcome:
    """Return what follows from the central number of each input."""
    return outcome(case, {name: value.central for name, value in case.inputs.items()})


def draw(case: Case, *, draws: int, seed: int) -> tuple[Outcome, ...]:
    """Return so many outcomes, every input drawn independently of the others; one, where nothing is uncertain."""
    ranges = case.inputs
    if all(value.is_point for value in ranges.values()):
        return (centre(case),)
    level = case.capacity.level if case.capacity is not None else None
    samplers = {
        name: _lognormal(value, level) if name == THROUGHPUT and level is not None else _triangular(value)
        for name, value in ranges.items()
        if not value.is_point
    }
    fixed = {name: value.central for name, value in ranges.items() if value.is_point}
    numbers, found = drawn_below(_BITS, seed), []
    with localcontext() as context:
        context.prec = _DIGITS
        for _ in range(draws):
            at = {name: sample((next(numbers) + 0.5) / _BITS) for name, sample in samplers.items()}
            found.append(outcome(case, fixed | at))
    return tuple(found)


def spread(middle: Outcome, drawn: Sequence[Outcome], figure: Callable[[Outcome], Decimal | None]) -> Spread:
    """Return a figure's centre and quantiles; draws in which it never is stand beyond all others."""
    values = [figure(each) for each in drawn]
    known = sorted(value for value in values if value is not None)
    ranked: list[Decimal | None] = [*known, *[None] * (len(values) - len(known))]
    last = len(ranked) - 1
    return Spread(
        central=figure(middle),
        p5=ranked[round(0.05 * last)],
        p95=ranked[round(0.95 * last)],
        never=Decimal(len(values) - len(known)) / len(values),
    )


def tornado(case: Case, figure: Callable[[Outcome], Decimal | None]) -> tuple[Sway, ...]:
    """Return what each uncertain input does to a figure by itself, the strongest first."""
    ranges = case.inputs
    middle = {name: value.central for name, value in ranges.items()}

    def at(name: str, value: Decimal) -> Decimal | None:
        return figure(outcome(case, {**middle, name: value}))

    sways = [
        Sway(name=name, range=value, at_low=at(name, value.low), at_high=at(name, value.high))
        for name, value in ranges.items()
        if not value.is_point
    ]
    return tuple(sorted((s for s in sways if s.at_low != s.at_high), key=_strength, reverse=True))


def _strength(sway: Sway) -> Decimal:
    if sway.at_low is None or sway.at_high is None:
        return Decimal("Infinity")
    return abs(sway.at_high - sway.at_low)


def _triangular(value: Range) -> Callable[[float], Decimal]:
    """Return the inverse of a triangular distribution: where in the range is a float, what it is worth a Decimal."""
    low, width = value.low, value.high - value.low
    mode = float((value.central - low) / width)

    def sample(u: float) -> Decimal:
        where = math.sqrt(u * mode) if u <= mode else 1 - math.sqrt((1 - u) * (1 - mode))
        return low + width * Decimal(where)

    return sample


def _lognormal(value: Range, level: Decimal) -> Callable[[float], Decimal]:
    """Return the inverse of a distribution whose `level` lies from low to high, half a normal one on each side."""
    normal = NormalDist()
    unit = normal.inv_cdf((1 + float(level)) / 2)

    def sample(u: float) -> Decimal:
        z = normal.inv_cdf(u) / unit
        return power(value.high, Decimal(z)) if z > 0 else power(value.low, Decimal(-z))

    return sample
