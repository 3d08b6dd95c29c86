"""Pairs of runs -> how much worse the head is, with its interval, and what that says against a margin.

Every effect is `worse`: how much worse the head is than the base, on a logarithmic scale for times, rates and dollars
(`ln(head / base)` where less is better, `ln(base / head)` where more is), and as a difference for shares. So a margin of
3 % is `ln 1.03` both ways: 3 % more dollars, or tokens/s divided by 1.03.

The interval is Student's over the pairs' effects, its spread never below the noise floor: the spread of A/A pairs, whose
runs were of the same thing. A few pairs can agree by luck; nothing is that quiet.
Sources: paired t and two one-sided tests (TOST), Schuirmann, J. Pharmacokin. Biopharm. 15 (1987) 657; Holm, Scand. J.
Statist. 6 (1979) 65.
"""

import math
from collections.abc import Sequence
from statistics import stdev

from pydantic import Field

from deploykit.base import Value
from deploykit.measuring.intervals import LEVEL, t_cdf, t_quantile

ALPHA = (1 - LEVEL) / 2
"""Of each one-sided test; both together leave what the interval leaves."""
_MOST_PAIRS = 200


class Effect(Value):
    """How much worse the head is; negative is better."""

    pairs: int
    worse: float = Field(description="Mean over the pairs.")
    low: float
    high: float
    spread: float = Field(description="Standard deviation of the pairs' effects, at least the noise floor.")
    own_spread: float = Field(description="Without the floor.")

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.spread / math.sqrt(self.pairs)


def effect_of(pairs: Sequence[float], *, floor: float = 0.0) -> Effect | None:
    """Return the effect over the pairs; None of fewer than two, of which no spread is known."""
    n = len(pairs)
    if n < 2:
        return None
    mean = math.fsum(pairs) / n
    own = stdev(pairs)
    spread = max(own, floor)
    half = t_quantile(1 - ALPHA, n - 1) * spread / math.sqrt(n)
    return Effect(pairs=n, worse=mean, low=mean - half, high=mean + half, spread=spread, own_spread=own)


def noise_floor(same: Sequence[float]) -> float | None:
    """Return the spread of A/A pairs; None of fewer than two.

    Nothing differs between their runs, so the true mean is 0 and the spread is around that.
    """
    if len(same) < 2:
        return None
    return math.sqrt(math.fsum(value**2 for value in same) / len(same))


def chance_of(effect: Effect, margin: float) -> tuple[float, float]:
    """Return the one-sided p-values of "worse by more than the margin" and of "better by more than it"."""
    return _tail(effect.worse - margin, effect), _tail(-effect.worse - margin, effect)


def equivalent(effect: Effect, margin: float) -> bool:
    """Return whether the whole interval lies within the margin."""
    return -margin < effect.low and effect.high < margin


def holm(chances: Sequence[float], alpha: float = ALPHA) -> tuple[bool, ...]:
    """Return which of several tests reject, the chance of even one false rejection at most `alpha`."""
    order = sorted(range(len(chances)), key=lambda index: chances[index])
    rejected = [False] * len(chances)
    for done, index in enumerate(order):
        if chances[index] > alpha / (len(chances) - done):
            break
        rejected[index] = True
    return tuple(rejected)


def pairs_to_decide(effect: Effect, margin: float, *, tests: int) -> int | None:
    """Return how many pairs more would decide, if they are like those there are; None if over 200 would be needed."""
    distance = abs(abs(effect.worse) - margin)
    alpha = ALPHA if abs(effect.worse) < margin else ALPHA / tests
    for n in range(effect.pairs + 1, effect.pairs + _MOST_PAIRS + 1):
        if t_quantile(1 - alpha, n - 1) * effect.spread / math.sqrt(n) < distance:
            return n - effect.pairs
    return None


def _tail(beyond: float, effect: Effect) -> float:
    if effect.error == 0:
        return 0.0 if beyond > 0 else 1.0
    return 1 - t_cdf(beyond / effect.error, effect.pairs - 1)
