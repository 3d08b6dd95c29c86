"""The figures that the gate judges, five at most, and how much worse one run is than another in each."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from deploykit.catalog.margins import Margins
from deploykit.gating.run import GateRun


class Metric(NamedTuple):
    """One figure."""

    key: str
    title: str
    better: Literal["more", "less"]
    scale: Literal["log", "difference"]
    margin: float
    """As the operator gave it: a share, or a difference of shares."""
    note: str = ""

    @property
    def limit(self) -> float:
        """The margin on the metric's scale."""
        return math.log1p(self.margin) if self.scale == "log" else self.margin


def chosen(runs: Sequence[GateRun], margins: Margins) -> tuple[Metric, ...]:
    """Return the metrics that these runs can be judged by.

    Runs of a search are judged by their goodput, share apart: their latencies are of different loads. The tail of TTFT is
    p99, or the highest quantile below it that every run has enough samples for.
    """
    usd = Metric("usd_per_m", "USD per million tokens", "less", "log", margins.usd_per_m)
    priced = (usd,) if all(run.figures["usd_per_m"] is not None for run in runs) else ()
    if any(run.figures["goodput"] is not None or run.same["load"].startswith("a search") for run in runs):
        return (Metric("goodput", "Goodput, requests/s", "more", "log", margins.throughput), *priced)
    return (
        Metric("output_tokens_per_s", "Output tokens/s", "more", "log", margins.throughput),
        *priced,
        Metric("tpot_p50", "TPOT p50", "less", "log", margins.tpot),
        _tail(runs, margins),
        Metric("good_share", "Good requests", "more", "difference", margins.good_share),
    )


def _tail(runs: Sequence[GateRun], margins: Margins) -> Metric:
    known = [q for q in ("p99", "p90", "p50") if all(run.figures[f"ttft_{q}"] is not None for run in runs)]
    quantile = known[0] if known else "p99"
    failed = any(f"ttft_{q}" in run.failed_tail for run in runs for q in ("p99", "p90", "p50"))
    note = ""
    if known and quantile != "p99":
        why = "p99 falls among failed requests" if failed else "too few requests for p99 in a run"
        note = f"instead of p99: {why}"
    return Metric(f"ttft_{quantile}", f"TTFT {quantile}", "less", "log", margins.ttft, note)


def worse(metric: Metric, base: float, head: float) -> float | None:
    """Return how much worse the head is on the metric's scale; None where a logarithm does not exist."""
    if metric.scale == "difference":
        return base - head if metric.better == "more" else head - base
    if base <= 0 or head <= 0:
        return None
    ratio = math.log(head / base)
    return -ratio if metric.better == "more" else ratio


def change(metric: Metric, worse_by: float) -> float:
    """Return an effect as a reader knows it: the head's change as a share of the base, or a difference of shares."""
    signed = -worse_by if metric.better == "more" else worse_by
    return math.expm1(signed) if metric.scale == "log" else signed


def mean(metric: Metric, values: Sequence[float | None]) -> float | None:
    """Return the mean of an arm's runs, geometric on the log scale; None if a run does not tell it."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    if metric.scale == "log" and min(known) > 0:
        return math.exp(math.fsum(map(math.log, known)) / len(known))
    return math.fsum(known) / len(known)
