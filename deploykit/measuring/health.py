"""A measured run -> doubts about its own generator: whether it was late, and by how much of what was measured.

Two delays are the generator's own. *Send lag*, by which a request was sent after its time, is inside TTFT and E2E.
*Loop lag*, by which the event loop woke late, moves the stamp of whatever was read then; where the kernel stamped the
bytes it moves nothing, and only its part in the send lag remains.

A delay counts against what it is part of, tail against tail: above a quarter of the TTFT's tail the run measured its
generator and is INVALID. Below that, loop lag over 5 ms (p99) or 50 ms (worst), and send lag over 5 % of the median
TTFT, are doubts: on two cores that also serve, as in a rehearsal, they are common, and the medians stand.
A process that ended before the run did took its requests with it: INVALID.
"""

from collections.abc import Iterator

from deploykit.caveat import Caveat, Weight
from deploykit.measuring.measurements import Quantiles, StageMeasurement
from deploykit.measuring.samples import LoadTestRun

_LAG_P99_S, _LAG_MAX_S = 0.005, 0.050
_SEND_LAG_OF_TTFT = 0.05
_OF_TAIL = 0.25
_OF_GAPS = 0.5
_CPU_SHARE = 0.8


def generator_doubts(run: LoadTestRun, priced: StageMeasurement) -> Iterator[Caveat]:
    """Yield what the generator did wrong, as far as it touches the priced stage."""
    yield from _lost(run)
    yield from _loop(run, priced)
    yield from _sending(priced)
    if (share := run.generator.cpu_share or 0.0) > _CPU_SHARE:
        yield _doubt("generator-busy", f"the generator used {share:.0%} of a core: it may have been the bottleneck")


def _lost(run: LoadTestRun) -> Iterator[Caveat]:
    if lost := run.generator.lost:
        which = ", ".join(str(process + 1) for process in lost)
        says = (
            f"process {which} of {run.generator.processes} ended before the run did: the load was not the one asked for"
        )
        yield Caveat(code="generator-lost", weight=Weight.INVALID, says=says)


def _loop(run: LoadTestRun, priced: StageMeasurement) -> Iterator[Caveat]:
    p99, worst = run.generator.loop_lag_p99_s or 0.0, run.generator.loop_lag_max_s or 0.0
    if p99 <= _LAG_P99_S and worst <= _LAG_MAX_S:
        return
    woke = f"the generator's event loop woke late, by {p99 * 1000:.1f} ms (p99) and {worst * 1000:.0f} ms (worst)"
    stamps = {sample.stamp for sample in run.samples if sample.stamp is not None}
    if stamps == {"kernel"}:
        says = f"{woke}; the kernel stamped what came, so no answer's time is off by it"
        yield Caveat(code="generator-lag", weight=Weight.NOTE, says=says)
        return
    name, tail = _tail(priced.ttft)
    if tail is not None and p99 > _OF_TAIL * tail:
        says = f"{woke}: more than {_OF_TAIL:.0%} of the TTFT's {name} of {tail * 1000:.1f} ms, so it measured itself"
        yield Caveat(code="generator-lag", weight=Weight.INVALID, says=says)
        return
    name, gaps = _tail(priced.itl)
    also = f"; the ITL's {name} of {gaps * 1000:.1f} ms is mostly its own" if gaps and p99 > _OF_GAPS * gaps else ""
    yield _doubt(
        "generator-lag",
        f"{woke}, where {_LAG_P99_S * 1000:.0f} and {_LAG_MAX_S * 1000:.0f} are allowed: latencies may be too high by as "
        f"much{also}",
    )


def _sending(priced: StageMeasurement) -> Iterator[Caveat]:
    which, lag = _tail(priced.send_lag)
    name, tail = _tail(priced.ttft)
    middle = priced.ttft.p50 or priced.ttft.mean
    if lag is None or not middle or tail is None:
        return
    late = f"requests were sent up to {lag * 1000:.1f} ms late ({which})"
    if lag > _OF_TAIL * tail:
        says = f"{late}, more than {_OF_TAIL:.0%} of the TTFT's {name} of {tail * 1000:.1f} ms: the generator did not keep up"
        yield Caveat(code="send-lag", weight=Weight.INVALID, says=says)
    elif lag > _SEND_LAG_OF_TTFT * middle:
        yield _doubt(
            "send-lag", f"{late}, more than {_SEND_LAG_OF_TTFT:.0%} of the median TTFT of {middle * 1000:.1f} ms"
        )


def _tail(quantiles: Quantiles) -> tuple[str, float | None]:
    """Return the highest quantile that has the samples it needs, and the worst value only where none has."""
    for name in ("p99", "p95", "p90"):
        value = getattr(quantiles, name)
        if value is None:
            value = quantiles.beyond.get(name)
        if value is not None:
            return name, value
    return "worst", quantiles.max


def _doubt(code: str, says: str) -> Caveat:
    return Caveat(code=code, weight=Weight.DOUBT, says=says)
