"""How long things are: one length, a range, or a long tail; in tokens, or in turns of a session."""

import math
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field, model_validator

from deploykit.base import Value


class Fixed(Value):
    """Always the same length."""

    kind: Literal["fixed"] = "fixed"
    tokens: int = Field(gt=0)


class Uniform(Value):
    """Each length in a range equally likely."""

    kind: Literal["uniform"] = "uniform"
    low: int = Field(gt=0)
    high: int = Field(gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> "Uniform":
        if self.low > self.high:
            msg = f"low ({self.low}) is above high ({self.high})"
            raise ValueError(msg)
        return self


class LogNormal(Value):
    """A long tail: median and shape, cut at a minimum and maximum."""

    kind: Literal["lognormal"] = "lognormal"
    median: int = Field(gt=0)
    sigma: float = Field(gt=0, le=3)
    low: int = Field(gt=0)
    high: int = Field(gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> "LogNormal":
        if not self.low <= self.median <= self.high:
            msg = f"low ({self.low}), median ({self.median}) and high ({self.high}) are not in order"
            raise ValueError(msg)
        return self


Length = Annotated[Fixed | Uniform | LogNormal, Field(discriminator="kind")]


def mean_tokens(length: Length) -> float:
    """Return the mean length in tokens; the tail beyond a log-normal's cut is ignored."""
    match length:
        case Fixed():
            return float(length.tokens)
        case Uniform():
            return (length.low + length.high) / 2
        case LogNormal():
            return min(max(length.median * math.exp(length.sigma**2 / 2), length.low), length.high)


def max_tokens(length: Length) -> int:
    """Return the longest length that can be drawn."""
    return length.tokens if isinstance(length, Fixed) else length.high


def evenly(length: Length, count: int = 200) -> tuple[int, ...]:
    """Return so many lengths that stand for the distribution: its quantiles at even steps."""
    steps = [(index + 0.5) / count for index in range(count)]
    match length:
        case Fixed():
            return (length.tokens,)
        case Uniform():
            return tuple(length.low + int(step * (length.high - length.low + 1)) for step in steps)
        case LogNormal():
            normal = NormalDist(math.log(length.median), length.sigma)
            drawn = (round(math.exp(normal.inv_cdf(step))) for step in steps)
            return tuple(min(max(value, length.low), length.high) for value in drawn)
