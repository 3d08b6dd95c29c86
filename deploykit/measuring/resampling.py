"""A series in time -> how far its mean may be off, by a block bootstrap that gives the same answer each time.

Neighbouring intervals of a run are alike, so they are drawn in blocks: whole stretches of the run, begun anywhere and
continued at the start when they reach the end (the circular block bootstrap, Politis and Romano 1992).
"""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from statistics import NormalDist

from deploykit.measuring.intervals import LEVEL, t_quantile
from deploykit.measuring.measurements import Interval

RESAMPLES = 1000
LONGEST_BLOCK_S = 30.0
FEWEST_BLOCKS = 10
_MASK = (1 << 64) - 1


def block_seconds(window_s: float) -> float:
    """Return a block's length: 30 s, and a tenth of a window that would not hold ten of them."""
    return min(LONGEST_BLOCK_S, window_s / FEWEST_BLOCKS)


def ratio_interval(
    above: Sequence[float], below: Sequence[float], block: int, *, seed: int, level: float = LEVEL
) -> Interval | None:
    """Return the interval of `sum(above) / sum(below)` over intervals drawn in blocks of so many.

    A rate has the intervals' seconds below, a mean has the sum of the values above and their number below. None if there
    are fewer than two blocks, or nothing below.
    """
    n = len(above)
    if n < 2 * block or block < 1 or math.fsum(below) <= 0:
        return None
    tops = [0.0, *accumulate([*above, *above[:block]])]
    bottoms = [0.0, *accumulate([*below, *below[:block]])]
    starts = drawn_below(n, seed)
    blocks, found = -(-n // block), []
    for _ in range(RESAMPLES):
        top = bottom = 0.0
        for start in (next(starts) for _ in range(blocks)):
            top += tops[start + block] - tops[start]
            bottom += bottoms[start + block] - bottoms[start]
        if bottom > 0:
            found.append(top / bottom)
    if len(found) < RESAMPLES:
        return None  # a resample without a single value: too few of them to say anything
    found.sort()
    cut = round((1 - level) / 2 * RESAMPLES)
    middle = math.fsum(above) / math.fsum(below)
    wider = _for_so_few(n / block, level)
    return Interval(low=middle - wider * (middle - found[cut]), high=middle + wider * (found[-1 - cut] - middle))


def _for_so_few(blocks: float, level: float) -> float:
    """Return by how much an interval from so few blocks is too narrow: Student's t over the normal, and the variance's bias."""
    known = max(1, int(blocks) - 1)
    p = (1 + level) / 2
    return t_quantile(p, known) / NormalDist().inv_cdf(p) * math.sqrt((known + 1) / known)


def drawn_below(n: int, seed: int) -> Iterator[int]:
    """Yield whole numbers below n: SplitMix64 (Steele, Lea and Flood 2014), the same on every machine and release."""
    state = seed & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        yield ((mixed ^ (mixed >> 31)) * n) >> 64
