"""Values -> exact quantiles, each only where there are enough values to know it."""

import math
from collections.abc import Iterable, Sequence

from deploykit.measuring.intervals import order_ranks
from deploykit.measuring.measurements import Interval, Quantiles

CONFIDENCE = 0.99
"""How sure a quantile must be not to be too low."""


def needed(p: float) -> int:
    """Return how many values the p-quantile needs.

    The smallest n with `p^n + n (1 - p) p^(n-1) <= 1 - 0.99`: were at most one of n values above the true quantile, that would
    be a chance of less than 1 %. So at 99 % confidence at least two of the values lie above it, and the tail it
    stands for has been seen. It is the minimum of MLPerf's early stopping: 11 values for p50, 64 for p90, 130 for p95,
    662 for p99.
    """
    n = 2
    while p**n + n * (1 - p) * p ** (n - 1) > 1 - CONFIDENCE:
        n += 1
    return n


NEEDED = {p: needed(p) for p in (0.50, 0.90, 0.95, 0.99)}


def rank(n: int, p: float) -> int:
    """Return which of n sorted values, from 1, is the p-quantile: the smallest that at least a share p do not exceed."""
    return math.ceil(round(p * n, 9))  # 0.95 * 20 is a hair above 19


def quantiles(seen: Iterable[float], cut: Iterable[float] = (), *, independent: bool = True) -> Quantiles:
    """Return the quantiles of times in seconds, those `cut` short counted as longer than any that was seen.

    A quantile is always one of the values, never a mean of two; it is null below the number of values it needs, and
    where it falls among those cut short: what is known then is that it exceeds the longest one seen, and the time at
    which its own was cut. Values that depend on each other (the gaps of one stream) get no intervals.
    """
    ordered = sorted(seen)
    longest = ordered[-1] if ordered else 0.0
    every = [*ordered, *sorted(max(value, longest) for value in cut)]
    told: dict[str, float | None] = {}
    beyond, intervals = {}, {}
    for p, need in NEEDED.items():
        name = f"p{p * 100:.0f}"
        told[name] = None
        if len(every) < need:
            continue
        at = rank(len(every), p)
        if at <= len(ordered):
            told[name] = every[at - 1]
        else:
            beyond[name] = every[at - 1]
        if independent and (interval := _interval(every, len(ordered), p)) is not None:
            intervals[name] = interval
    return Quantiles(
        count=len(every),
        mean=math.fsum(ordered) / len(ordered) if ordered else None,
        p50=told["p50"],
        p90=told["p90"],
        p95=told["p95"],
        p99=told["p99"],
        max=ordered[-1] if ordered else None,
        censored=len(every) - len(ordered),
        beyond=beyond,
        intervals=intervals,
    )


def _interval(every: Sequence[float], seen: int, p: float) -> Interval | None:
    ranks = order_ranks(len(every), p)
    if ranks is None:
        return None
    low, high = ranks
    return Interval(low=every[low - 1], high=every[high - 1] if high <= seen else None)


def withheld(count: int) -> Quantiles:
    """Return quantiles that are not told, of values that can't be trusted."""
    return Quantiles(count=count, mean=None, p50=None, p90=None, p95=None, p99=None, max=None)
