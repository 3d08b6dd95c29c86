"""An open-loop stage's samples -> whether its requests came as the process that the workload names.

Four questions about the intended times, at a false alarm of 0.1 % each, and one about how they were kept:

* the *number* of requests is that of the rate;
* the *gaps* have the process's own distribution (Kolmogorov and Smirnov's distance; of a constant stream every gap is
  the same to 1 %);
* the *counts* in windows vary as they should (index of dispersion: variance over mean; 1 of Poisson). Requests of
  several processes that come in lockstep give a multiple of it;
* no gap *repeats*: drawn from a continuous distribution no two are equal. Processes that each begin one generator anew
  repeat each other's gaps, whatever else they look like;
* the *send lag* does not change by more than half the mean gap, or 10 ms where that is more: a lag that is always the
  same moves all requests alike, one that changes makes other gaps.

Ramps and traces have no gaps of one distribution: they are their own schedule, so only how they were kept is asked.
"""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from statistics import NormalDist, fmean, median, pvariance

from deploykit.catalog.workload import OpenLoop, Stage, TraceReplay
from deploykit.measuring.measurements import ArrivalAudit
from deploykit.measuring.processes import FALSE_ALARM, Process, dispersion_limits, ks_distance, ks_limit
from deploykit.measuring.quantiles import rank
from deploykit.measuring.samples import RequestSample
from deploykit.measuring.window import Window

FEWEST = 50
_REPEATED = 0.1
_SAME_GAP = 0.01
_JITTER_S, _JITTER_OF_GAP = 0.010, 0.5
_TICK_S = 1e-6
_WINDOWS = 10
_IN_WINDOW = 10


def process_of(stage: Stage, *, sessions: bool = False) -> Process | None:
    """Return what a stage's arrivals are said to be; None of a closed loop, whose arrivals are the answers' own.

    Where requests are turns of sessions, the rate is that of all turns: how often a session begins is not said.
    """
    if isinstance(stage, TraceReplay):
        return Process("schedule", None, 0.0)
    if not isinstance(stage, OpenLoop):
        return None
    rate = None if sessions else stage.requests_per_s
    cv: float | None = getattr(stage, "cv", None)
    if getattr(stage, "to_requests_per_s", None) is not None:
        return Process("schedule", None, 0.0)
    if cv is not None:
        return Process("gamma", rate, cv)
    return Process(stage.arrivals, rate, 1.0 if stage.arrivals == "poisson" else 0.0)


def audit_arrivals(process: Process, samples: Sequence[RequestSample], stage: Window) -> ArrivalAudit:
    """Return what was found of a stage's requests (of sessions the first turns), from its start to the end of sending."""
    due = sorted((s for s in samples if not s.turn), key=lambda s: s.intended_s)
    times = [s.intended_s for s in due]
    gaps = [after - before for before, after in pairwise(times)]
    lags = sorted(s.sent_s - s.intended_s for s in due if s.sent_s is not None)
    failed = []
    enough, drawn = len(due) >= FEWEST, process.name in {"poisson", "gamma"}
    expected = process.rate * stage.seconds if process.rate is not None else None
    if enough and expected is not None and abs(len(due) - expected) > _count_limit(expected, process.cv):
        failed.append(f"{len(due)} requests where {expected:.0f} are expected")
    # An estimated rate makes the distance smaller than a known one would: fewer false alarms, not more.
    rate = process.rate if process.rate is not None else len(due) / stage.seconds if stage.seconds else 0.0
    process = process._replace(rate=rate)

    distance = limit = None
    if enough and drawn:
        distance, limit = ks_distance(gaps, process), ks_limit(len(gaps))
        if distance > limit:
            failed.append(
                f"the gaps are not {process.name}: their distribution is {distance:.3f} off, {limit:.3f} is chance"
            )
    if enough and process.name == "constant":
        distance, limit = _unlike(gaps, 1 / rate), _SAME_GAP
        if distance > limit:
            failed.append(f"{distance:.0%} of the gaps are not the one of a constant stream")

    dispersion, low, high = (
        _dispersion(times, stage, process) if enough and process.name != "schedule" else (None, None, None)
    )
    if dispersion is not None and low is not None and high is not None and not low <= dispersion <= high:
        failed.append(f"the counts' index of dispersion is {dispersion:.2f}, {low:.2f} to {high:.2f} is chance")

    repeated = _repeated(due, rate) if enough and drawn else None
    if repeated is not None and repeated > _REPEATED:
        failed.append(f"{repeated:.0%} of the longer gaps repeat another: processes draw the same numbers")

    jitter = _between(lags, 0.01, 0.99) if lags else None
    allowed = max(_JITTER_S, _JITTER_OF_GAP * fmean(gaps)) if gaps else _JITTER_S
    if enough and jitter is not None and jitter > allowed:
        failed.append(f"the send lag changes by {jitter * 1000:.1f} ms, {allowed * 1000:.1f} ms are allowed")
    return ArrivalAudit(
        process=process.name, requests=len(due), expected=expected, distance=distance, distance_limit=limit,
        dispersion=dispersion, dispersion_low=low, dispersion_high=high, repeated=repeated, unsent=len(due) - len(lags),
        send_lag_p99_s=lags[rank(len(lags), 0.99) - 1] if lags else None, jitter_s=jitter,
        passed=None if not enough and not failed else not failed, failed=tuple(failed),
    )  # fmt: skip


def _count_limit(expected: float, cv: float) -> float:
    """Return how far a number of arrivals may be from the expected one: its variance is that of a renewal process."""
    z = NormalDist().inv_cdf(1 - FALSE_ALARM / 2)
    return 1 + z * cv * math.sqrt(expected) + z * z * cv * cv / 6


def _unlike(gaps: Sequence[float], gap: float) -> float:
    return sum(abs(one - gap) > _SAME_GAP * gap for one in gaps) / len(gaps)


def _dispersion(
    times: Sequence[float], stage: Window, process: Process
) -> tuple[float | None, float | None, float | None]:
    """Return the index of dispersion of counts and its limits; Nones if there are not ten windows of enough requests."""
    each = max(_IN_WINDOW, 10 * process.cv**2)
    windows = int(len(times) / each)
    if windows < _WINDOWS:
        return None, None, None
    length = stage.seconds / windows
    counts = [0] * windows
    for at in times:
        counts[min(windows - 1, max(0, int((at - stage.start) / length)))] += 1
    mean = fmean(counts)
    found = pvariance(counts) * windows / (windows - 1) / mean
    if process.name == "constant":
        return found, 0.0, 1 / mean  # counts differ by one at most
    # The variance of a renewal process's count (Cox, Renewal Theory 1962, 4.5), for gamma gaps: 0 beside cv^2 of Poisson.
    variance = process.cv**2 * mean + (1 - process.cv**4) / 6
    low, high = dispersion_limits(windows, max(variance, 0.05 * mean) / mean)
    return found, low, high


def _repeated(due: Sequence[RequestSample], rate: float) -> float:
    """Return the share of gaps of at least the median that repeat another, of all requests or of each process's own.

    Times are told to a microsecond: gaps of a fast stream may be equal by chance, and so many are taken off.
    """
    of_all = [after.intended_s - before.intended_s for before, after in pairwise(due)]
    by_worker = groupby(sorted(due, key=lambda s: (s.worker, s.intended_s)), key=attrgetter("worker"))
    parts = [[s.intended_s for s in group] for _, group in by_worker]
    of_each = [after - before for part in parts for before, after in pairwise(part)]
    found = 0.0
    for gaps in (of_all, of_each):
        if len(gaps) < FEWEST // 2:
            continue
        middle = median(gaps)
        ticks = [round(gap / _TICK_S) for gap in gaps if gap >= middle]
        by_chance = len(ticks) * _TICK_S * rate
        found = max(found, 1 - len(set(ticks)) / len(ticks) - by_chance)
    return max(0.0, found)


def _between(ordered: Sequence[float], low: float, high: float) -> float:
    return ordered[rank(len(ordered), high) - 1] - ordered[max(1, rank(len(ordered), low)) - 1]
