"""A workload -> the load its generator measures itself at; a measured run -> doubts about what the generator adds.

The load is the heaviest that the stages can bring: a closed loop's most users, or an open loop's requests in flight if
answers come at 50 tokens a second, and 50 token events a second for each of these streams. How fast the server will be
is not known before the run; afterwards the run's own rate is held against the certificate's.

What the generator adds at p99 may be 2 % of the SLO's limit: of TTFT for the first token, of TPOT for a gap between
tokens. Above it the run is INVALID. Where the SLO has no such limit, 2 % of the measured median are allowed, and more
is a doubt.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from deploykit.catalog.stages import ClosedLoop, Stage, TraceReplay, highest_rate, most_users
from deploykit.catalog.workload import Workload, mean_tokens
from deploykit.caveat import Caveat, Weight
from deploykit.measuring.certificate import Certificate
from deploykit.measuring.measurements import Quantiles, StageMeasurement
from deploykit.measuring.samples import LoadTestRun

EVENTS_PER_S = 50.0
"""Of one stream: an answer's pace where nothing is known of the server, 20 ms from token to token."""
MOST_STREAMS = 512
"""Of one process: beyond it a paced engine of our own, beside the generator on one machine, is the bottleneck."""
ALLOWED = 0.02
_BEYOND = 1.25
_SHORT = 0.8


class CertifiedLoad(NamedTuple):
    """What one process of the generator measures itself at."""

    streams: int
    events_per_s: float


def certified_load(workload: Workload, processes: int) -> CertifiedLoad:
    """Return one process's share of the workload's heaviest load, within what can be measured here."""
    whole = max(_streams(stage, workload) for stage in workload.stages)
    streams = min(MOST_STREAMS, max(1, math.ceil(whole / processes)))
    return CertifiedLoad(streams, streams * EVENTS_PER_S)


def _streams(stage: Stage, workload: Workload) -> float:
    if isinstance(stage, ClosedLoop):
        return most_users(stage)
    lasts_s = mean_tokens(workload.output_tokens) / EVENTS_PER_S
    # A trace's rate is its mean over the time it may take; the run's own is held against the certificate afterwards.
    rate = _mean_rate(stage) if isinstance(stage, TraceReplay) else highest_rate(stage)
    return rate * min(lasts_s, stage.duration_s)


def _mean_rate(trace: TraceReplay) -> float:
    return trace.facts.requests / trace.duration_s if trace.facts else 0.0


def certificate_doubts(run: LoadTestRun, priced: StageMeasurement) -> Iterator[Caveat]:
    """Yield what the generator's certificate says against the run, or that there is none."""
    found = run.generator.certificate
    if found is None:
        yield _missing(run)
        return
    slo = run.spec.workload.slo
    gaps = priced.itl if _middle(priced.itl) else priced.tpot
    yield from _too_much(found, found.ttft_added_p99_s, "TTFT", slo.ttft_s, _middle(priced.ttft))
    yield from _too_much(found, found.itl_added_p99_s, "ITL", slo.tpot_s, _middle(gaps))
    yield from _another_load(run, found, priced)


def _missing(run: LoadTestRun) -> Caveat:
    if not run.spec.certificate_s:
        says = "not certified: what the generator itself adds to the times was not measured before this run"
        return Caveat(code="not-certified", weight=Weight.NOTE, says=says)
    why = run.generator.uncertified or "a process of it told nothing"
    says = f"not certified: the generator could not measure what it adds to the times itself: {why}"
    return Caveat(code="not-certified", weight=Weight.DOUBT, says=says)


def _too_much(
    found: Certificate, added_s: float, name: str, limit_s: float | None, middle_s: float | None
) -> Iterator[Caveat]:
    of = limit_s if limit_s is not None else middle_s
    if of is None or added_s <= ALLOWED * of:
        return
    what = (
        f"the SLO's limit of {of * 1000:.4g} ms"
        if limit_s is not None
        else f"the measured median of {of * 1000:.3g} ms"
    )
    says = (
        f"this client adds {added_s * 1000:.2f} ms to {name} p99 at {found.streams:,} streams, {added_s / of:.1%} of {what}, "
        f"where {ALLOWED:.0%} are allowed: it measures itself"
    )
    yield Caveat(code="certificate", weight=Weight.INVALID if limit_s is not None else Weight.DOUBT, says=says)


def _another_load(run: LoadTestRun, found: Certificate, priced: StageMeasurement) -> Iterator[Caveat]:
    """Say that the generator was measured at a load that is not the run's."""
    if found.events_per_s < _SHORT * found.wanted_events_per_s:
        says = (
            f"the generator measured itself at {found.events_per_s:,.0f} token events/s where {found.wanted_events_per_s:,.0f} "
            "were wanted: this machine gave no more to it and its paced engine"
        )
        yield Caveat(code="certificate-short", weight=Weight.NOTE, says=says)
    if priced.window_s <= 0:
        return
    start, end = priced.window_start_s, priced.window_end_s
    read = sum(
        start <= (sample.sent_s or 0.0) + at < end
        for sample in run.samples
        if sample.stage == priced.stage
        for at in sample.token_events_s
    )
    rate = read / priced.window_s
    if rate > _BEYOND * found.events_per_s:
        says = (
            f"the priced stage brought {rate:,.0f} token events/s, and the generator measured itself at "
            f"{found.events_per_s:,.0f}: what it adds at this load may be more"
        )
        yield Caveat(code="certificate-below", weight=Weight.NOTE, says=says)


def _middle(quantiles: Quantiles) -> float | None:
    return quantiles.p50 if quantiles.p50 is not None else quantiles.mean
