"""Arrival processes: the distribution of the gaps between requests, and how far a sample may be from it.

Sources: the incomplete gamma function by its series and continued fraction, Abramowitz and Stegun 6.5.29 and 6.5.31;
Kolmogorov's limit for finite samples, Stephens, JASA 69 (1974) 730; chi-squared quantiles, Wilson and Hilferty (1931).
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

FALSE_ALARM = 0.001
"""How often a true process fails one of its tests."""


class Process(NamedTuple):
    """What a stage's arrivals are said to be; `schedule` is anything that is only known by its own times (a ramp, a trace)."""

    name: Literal["poisson", "gamma", "constant", "schedule"]
    rate: float | None
    """Requests per second; None if it is not said."""
    cv: float
    """The gaps' coefficient of variation: 1 of Poisson, 0 of a constant stream."""

    def cdf(self, gap: float) -> float:
        """Return the share of gaps that are no longer."""
        if gap <= 0 or self.rate is None:
            return 0.0
        shape = 1 / self.cv**2
        return gamma_cdf(shape, gap * self.rate * shape)


def gamma_cdf(shape: float, x: float) -> float:
    """Return the regularised lower incomplete gamma function P(shape, x)."""
    if x <= 0:
        return 0.0
    scale = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        n = shape
        while term > total * 1e-16:
            n += 1
            term *= x / n
            total += term
        return min(1.0, scale * total)
    # Lentz's evaluation of the continued fraction of the upper function.
    b = x + 1 - shape
    c, d = 1e300, 1 / b
    fraction = d
    for i in range(1, 10_000):
        a = -i * (i - shape)
        b += 2
        d = 1 / (a * d + b or 1e-300)
        c = b + a / c or 1e-300
        step = c * d
        fraction *= step
        if abs(step - 1) < 1e-15:
            break
    return max(0.0, 1 - scale * fraction)


def ks_distance(gaps: Sequence[float], process: Process) -> float:
    """Return the largest difference between the gaps' distribution and the process's own (Kolmogorov and Smirnov)."""
    ordered, n = sorted(gaps), len(gaps)
    worst = 0.0
    for index, gap in enumerate(ordered):
        expected = process.cdf(gap)
        worst = max(worst, (index + 1) / n - expected, expected - index / n)
    return worst


def ks_limit(n: int, false_alarm: float = FALSE_ALARM) -> float:
    """Return the distance that gaps of the process itself exceed so rarely."""
    return math.sqrt(-math.log(false_alarm / 2) / 2) / (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n))


def dispersion_limits(windows: int, expected: float, false_alarm: float = FALSE_ALARM) -> tuple[float, float]:
    """Return where the index of dispersion of so many counts lies but so rarely, around what is expected."""
    known = windows - 1

    def chi2(p: float) -> float:
        middle = 1 - 2 / (9 * known)
        return known * float(max(0.0, middle + NormalDist().inv_cdf(p) * math.sqrt(2 / (9 * known))) ** 3)

    return expected * chi2(false_alarm / 2) / known, expected * chi2(1 - false_alarm / 2) / known
