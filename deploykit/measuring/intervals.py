"""Counts and values -> confidence intervals: binomial order statistics, Wilson's for a share, Student's t for a mean.

Sources: order statistics, David and Nagaraja, Order Statistics (2003), 7.1; Wilson, JASA 22 (1927) 209; the t
distribution for whole degrees of freedom, Abramowitz and Stegun 26.7.3 and 26.7.4.
"""

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

from deploykit.measuring.measurements import Interval

LEVEL = 0.95
"""Of every interval, unless it says otherwise."""


def order_ranks(n: int, p: float, level: float = LEVEL) -> tuple[int, int] | None:
    """Return the ranks (from 1) of the two values that enclose the p-quantile; None if n values can't enclose it.

    The number B of values at or below the quantile is binomial(n, p). The lower rank is the largest l with
    `P(B <= l - 1) <= (1 - level) / 2`, the upper one the smallest u with `P(B >= u) <= (1 - level) / 2`: whatever the
    values' distribution, the interval misses on each side with at most half of what is left.
    """
    tail = (1 - level) / 2
    lower = _lower_rank(n, p, tail)
    upper = n + 1 - _lower_rank(n, 1 - p, tail)
    return (lower, upper) if lower >= 1 and upper <= n else None


def wilson(good: float, total: float, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval of a share; (0, 1) where nothing was tried.

    Where requests depend on each other, both numbers are divided by how much that inflates the variance.
    """
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, z2 = good / total, z * z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Return the t-interval of the mean of independent values, of two or more; None of fewer.

    Positive values are taken on a logarithmic scale, where the interval cannot reach below zero: it is then of their
    geometric mean.
    """
    n = len(values)
    if n < 2:
        return None
    logarithmic = all(value > 0 for value in values)
    scaled = [math.log(value) for value in values] if logarithmic else list(values)
    mean = math.fsum(scaled) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in scaled) / (n - 1))
    half = t_quantile((1 + level) / 2, n - 1) * spread / math.sqrt(n)
    low, high = mean - half, mean + half
    return Interval(low=math.exp(low), high=math.exp(high)) if logarithmic else Interval(low=low, high=high)


@cache
def t_quantile(p: float, freedom: int) -> float:
    """Return the p-quantile, p from 0.5 to below 1, of Student's t with whole degrees of freedom."""
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < p:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_cdf(middle, freedom) < p else (low, middle)
    return high


def t_cdf(t: float, freedom: int) -> float:
    """Return the probability that Student's t with whole degrees of freedom is at most t."""
    if t < 0:
        return 1 - t_cdf(-t, freedom)
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    total = term = cosine if freedom % 2 else 1.0
    for k in range(3 if freedom % 2 else 2, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if freedom == 1:
        return 0.5 + angle / math.pi
    return (1 + (2 / math.pi * (angle + sine * total) if freedom % 2 else sine * total)) / 2


def _lower_rank(n: int, p: float, tail: float) -> int:
    """Return the largest l with P(B <= l - 1) <= tail, B binomial(n, p); 0 if there is none."""
    spread = math.sqrt(n * p * (1 - p))
    # Below eight standard deviations there is nothing to add; the sum starts there, so that millions of values are cheap.
    k = max(0, math.floor(n * p - 8 * spread) - 40)
    log_first = (
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    )
    chance = math.exp(log_first)
    below = chance
    while below <= tail and k < n:
        chance *= (n - k) / (k + 1) * p / (1 - p)
        k += 1
        below += chance
    # below is now P(B <= k) > tail: k is the largest l.
    return k
