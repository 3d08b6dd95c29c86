"""A stage's series -> from when on it was steady, or that it never was.

MSER-5 (White 1997) proposes: of all beginnings that could be cut off, the one after which the mean's standard error is
least, on means of five intervals. On series whose neighbours are alike it also proposes where there is nothing to cut,
so a cut needs evidence: the part before must differ from the part after in its ranks, by three standard errors that
allow for neighbours being alike (Bartlett's window), and in its median by 5 %. Ranks and medians keep a single stall
from passing for a warm-up: it stays in the window and in the percentiles. A cut without evidence is looked for once
more in the first quarter. There is no steady state if the cut lies in the second half, or if the halves of what is
left differ as a cut part must.
"""

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Literal

from deploykit.measuring.dependence import long_run_variance
from deploykit.measuring.measurements import SeriesStart, Steadiness
from deploykit.measuring.samples import RequestSample
from deploykit.measuring.series import Bins
from deploykit.measuring.window import Window, ttft

BATCH = 5
FEWEST_VALUES = 50
"""Ten batches; fewer say nothing about when a series became steady."""
_MOST_VALUES = 500
"""Of TTFT, in order of arrival; of more, neighbours are averaged."""
_LEFT = 5
"""Batches that a cut leaves at least: the mean's error of fewer is itself a guess (Hoad and others 2010)."""
_Z, _DIFFERENCE = 3.0, 0.05
_LATEST, _AGAIN = 0.5, 0.25


def steady(
    bins: Bins, samples: Sequence[RequestSample], stage: Window, *, warmup_s: float, varies: str | None
) -> tuple[Window, Steadiness]:
    """Return a stage's window, and how it was found; where nothing was found it is what the workload states.

    `varies` names a stage whose load is not meant to be steady, such as a ramp.
    """
    declared = Window(min(stage.start + warmup_s, stage.end), stage.end)
    due = sorted((s for s in samples if declared.holds(s.intended_s)), key=lambda s: s.intended_s)

    def as_declared(why: str) -> tuple[Window, Steadiness]:
        return declared, Steadiness(method="declared", found=False, declared_start_s=declared.start, why=why)

    if varies:
        return as_declared(f"a {varies} has no steady state")
    first = bins.since(declared.start)
    if len(due) < FEWEST_VALUES or len(bins.output) - first < FEWEST_VALUES:
        return as_declared(f"{len(due)} requests are too few to see when it became steady ({FEWEST_VALUES} are needed)")
    at = [bins.start + index * bins.step for index in range(first, len(bins.output))]
    firsts = [(s.intended_s, value) for s in due if (value := ttft(s)) is not None]
    series = [
        _start("output tokens/s", at, bins.output[first:], declared.start),
        _start("requests in flight", at, bins.busy[first:], declared.start),
    ]
    if len(firsts) >= FEWEST_VALUES:
        size = -(-len(firsts) // _MOST_VALUES)
        groups = [firsts[i : i + size] for i in range(0, len(firsts), size)]
        means = [fmean(value for _, value in group) for group in groups]
        series.append(_start("TTFT", [group[0][0] for group in groups], means, declared.start))
    starts = [one.from_s for one in series if one.from_s is not None]
    found = len(starts) == len(series)
    window = Window(max(starts), stage.end) if found else declared
    return window, Steadiness(
        method="mser-5", found=found, declared_start_s=declared.start, series=tuple(series),
        why="" if found else f"{', '.join(s.name for s in series if s.from_s is None)} changed until the end",
    )  # fmt: skip


def _start(
    name: Literal["output tokens/s", "requests in flight", "TTFT"],
    at: Sequence[float],
    values: Sequence[float],
    begins: float,
) -> SeriesStart:
    cut = find_cut(values)
    return SeriesStart(name=name, from_s=None if cut is None else at[cut] if cut else begins)


def find_cut(values: Sequence[float]) -> int | None:
    """Return how many values to cut off a series' beginning; None if it is steady nowhere.

    Needs 50 values or more.
    """
    ranked = _ranks(values)
    cut = mser(values)
    if not _differs(values, ranked, 0, cut, len(values)):
        cut = mser(values, latest=_AGAIN)
        if not _differs(values, ranked, 0, cut, len(values)):
            cut = 0
    middle = cut + (len(values) - cut) // 2
    drifts = _differs(values, ranked, cut, middle, len(values))
    return None if cut > _LATEST * len(values) or drifts else cut


def mser(values: Sequence[float], *, latest: float = 1.0) -> int:
    """Return how many values MSER-5 cuts off, at most a share `latest` of them; always whole batches."""
    batches = [fmean(values[i : i + BATCH]) for i in range(0, len(values) - BATCH + 1, BATCH)]
    middle = fmean(batches)
    total = squares = 0.0
    best, cut = math.inf, 0
    for index in range(len(batches) - 1, -1, -1):
        total += batches[index] - middle
        squares += (batches[index] - middle) ** 2
        left = len(batches) - index
        if left < _LEFT or index > latest * len(batches):
            continue
        error = max(0.0, squares - total * total / left) / left**2
        if error <= best:  # of equals the earliest: nothing is cut for nothing
            best, cut = error, index * BATCH
    return cut


def _differs(values: Sequence[float], ranked: Sequence[float], start: int, cut: int, end: int) -> bool:
    """Whether a series is at another level before a cut than after it, by more than chance and by an amount that matters."""
    before, after = ranked[start:cut], ranked[cut:end]
    if not before or not after:
        return False
    one, other = fmean(before), fmean(after)
    noise = long_run_variance([*(r - one for r in before), *(r - other for r in after)])
    error = math.sqrt(noise * (1 / len(before) + 1 / len(after)))
    low, high = sorted((median(values[start:cut]), median(values[cut:end])))
    return abs(one - other) > _Z * error and high - low > _DIFFERENCE * max(abs(low), abs(high))


def _ranks(values: Sequence[float]) -> list[float]:
    """Return each value's rank as a share of all; equals share their mean rank."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            ranks[index] = (start + end - 1) / 2 / len(values)
        start = end
    return ranks
