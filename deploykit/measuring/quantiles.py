"""Values -> exact quantiles, each only where there are enough values to know it."""

import math
from collections.abc import Iterable

from deploykit.measuring.measurements import Quantiles

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


def quantile(ordered: list[float], p: float) -> float | None:
    """Return the p-quantile of sorted values: the smallest one that at least a share p of them does not exceed.

    It is always one of the values, never a mean of two; None below the number of values it needs.
    """
    n = len(ordered)
    if n < (NEEDED[p] if p in NEEDED else needed(p)):
        return None
    return ordered[math.ceil(round(p * n, 9)) - 1]  # 0.95 * 20 is a hair above 19


def quantiles(values: Iterable[float]) -> Quantiles:
    """Return the quantiles of values in seconds."""
    ordered = sorted(values)
    return Quantiles(
        count=len(ordered),
        mean=math.fsum(ordered) / len(ordered) if ordered else None,
        p50=quantile(ordered, 0.50),
        p90=quantile(ordered, 0.90),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        max=ordered[-1] if ordered else None,
    )


def withheld(count: int) -> Quantiles:
    """Return quantiles that are not told, of values that can't be trusted."""
    return Quantiles(count=count, mean=None, p50=None, p90=None, p95=None, p99=None, max=None)
