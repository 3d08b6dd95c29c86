"""A series of values -> how much less it says than independent values would, because neighbours are alike."""

import math
from collections.abc import Sequence
from statistics import fmean

_BATCHES, _SHORTEST = 40, 10


def long_run_variance(residuals: Sequence[float]) -> float:
    """Return the variance that a mean's error follows where neighbours are alike: Bartlett's weights, √n lags."""
    n = len(residuals)
    lags = math.isqrt(n)
    found = math.fsum(r * r for r in residuals) / n
    for lag in range(1, lags + 1):
        together = math.fsum(residuals[i] * residuals[i + lag] for i in range(n - lag)) / n
        found += 2 * (1 - lag / (lags + 1)) * together
    return max(found, 0.0)


def inflation(good: Sequence[bool]) -> float:
    """Return how many times larger the variance of the share of good requests is than if they were independent; at least 1.

    `good` is in order of arrival. Means of up to 40 batches of 10 requests or more vary by `share (1 - share) / size`
    if requests are independent, by more if a bad moment hits many at once. Below two batches nothing can be told: 1.
    """
    batches = min(_BATCHES, len(good) // _SHORTEST)
    share = fmean(good) if good else 0.0
    if batches < 2 or share in (0.0, 1.0):
        return 1.0
    size = len(good) // batches
    means = [fmean(good[i * size : (i + 1) * size]) for i in range(batches)]
    middle = fmean(means)
    variance = math.fsum((mean - middle) ** 2 for mean in means) / (batches - 1)
    return max(1.0, variance * size / (share * (1 - share)))
