"""A service level objective and the engine's histograms in, recorded shares of bad requests and burn-rate alerts out.

A burn rate is how fast the error budget (1 - `share`) is spent: 1 spends it exactly. An alert wants a long window, so
that it means something, and a short one, so that it ends when the trouble does; the pairs are those of the Site
Reliability Workbook, chapter 5 (https://sre.google/workbook/alerting-on-slos/).
"""

from bisect import bisect_left
from itertools import pairwise

from deploykit.base import Value
from deploykit.catalog.engine import Histogram, MetricNames
from deploykit.catalog.workload import Slo
from deploykit.rendering.monitoring.rule import EVALUATION_S, Alert, Recorded

FEW_REQUESTS = 20
"""Fewer requests in the long window are no share of anything: the alert stays silent."""

MOST = 0.95
"""A budget so large that a burn would need more bad requests than there are: this share of them alarms."""


class Burn(Value):
    """One pair of windows; their names are PromQL durations."""

    rate: float
    long: str
    short: str


FAST = (Burn(rate=14.4, long="1h", short="5m"), Burn(rate=6, long="6h", short="30m"))
SLOW = (Burn(rate=3, long="1d", short="2h"), Burn(rate=1, long="3d", short="6h"))
_WINDOWS = tuple(dict.fromkeys(window for burn in (*FAST, *SLOW) for window in (burn.short, burn.long)))


class Objective(Value):
    """One limit of the SLO, and where the engine counts it."""

    name: str
    title: str
    limit_s: float
    share: float
    histogram: Histogram

    @property
    def alert(self) -> str:
        """Its alert's name."""
        return f"Slo{self.name.capitalize()}Burn"


def objectives(slo: Slo | None, metrics: MetricNames) -> tuple[Objective, ...]:
    """Return the limits that the engine's histograms can be held against: set, counted, and within their bounds."""
    if slo is None:
        return ()
    every = (
        ("ttft", "time to first token", slo.ttft_s, metrics.ttft),
        ("tpot", "time per output token", slo.tpot_s, metrics.tpot),
        ("e2e", "time to the last token", slo.e2e_s, metrics.e2e),
    )
    return tuple(
        Objective(name=name, title=title, limit_s=limit, share=slo.share, histogram=histogram)
        for name, title, limit, histogram in every
        if limit is not None and histogram is not None and limit <= histogram.buckets[-1]
    )


def recorded(objective: Objective) -> list[Recorded]:
    """Return the rates of good and of all requests, and the bad ones' share of every window.

    The long windows average the recorded five-minute rates, so that a quiet hour weighs little and three days of a
    histogram need not be read every 15 seconds.
    """
    name = objective.name
    rules = [
        Recorded(record=f"deployment:{name}_limit:seconds", expr=f"vector({objective.limit_s:g})"),
        Recorded(record=f"deployment:{name}_good:rate5m", expr=_good(objective)),
        Recorded(record=f"deployment:{name}_all:rate5m", expr=f"sum(rate({objective.histogram.name}_count[5m]))"),
    ]
    good, every = f"deployment:{name}_good:rate5m", f"deployment:{name}_all:rate5m"
    for window in _WINDOWS:
        share = f"1 - {good} / {every}"
        if window != "5m":
            share = f"1 - avg_over_time({good}[{window}]) / avg_over_time({every}[{window}])"
        rules.append(Recorded(record=f"deployment:{name}_bad:ratio_{window}", expr=share))
    return rules


def alerts(objective: Objective) -> list[Alert]:
    """Return the fast burn, which somebody has to look at now, and the slow one, which can wait for the day."""
    limit = f"{objective.share:.4g} of requests within {objective.limit_s:g} s"
    fast = (
        f"The {objective.title} burns its error budget fast ({limit}): {{{{ $value | humanizePercentage }}}} are bad."
    )
    slow = (
        f"The {objective.title} burns its error budget slowly ({limit}): {{{{ $value | humanizePercentage }}}} are bad."
    )
    return [
        Alert(name=objective.alert, expr=_burning(objective, FAST), lasting="2m", severity="critical", says=fast),
        Alert(name=objective.alert, expr=_burning(objective, SLOW), lasting="15m", severity="warning", says=slow),
    ]


def _good(objective: Objective) -> str:
    """Return the rate of requests within the limit; between two bounds it is interpolated, as histogram_quantile does."""
    bounds = objective.histogram.buckets
    at = bisect_left(bounds, objective.limit_s)
    if bounds[at] == objective.limit_s:
        return _below(objective, bounds[at])
    if at == 0:
        return f"{objective.limit_s / bounds[0]:.6g} * {_below(objective, bounds[0])}"
    low, high = next(pair for pair in pairwise(bounds) if pair[1] == bounds[at])
    weight = (objective.limit_s - low) / (high - low)
    return f"{1 - weight:.6g} * {_below(objective, low)} + {weight:.6g} * {_below(objective, high)}"


def _below(objective: Objective, bound: float) -> str:
    # The engine's client library writes a bound as Python prints a float: `1.0`, `2.5`.
    return f'sum(rate({objective.histogram.name}_bucket{{le="{float(bound)}"}}[5m]))'


def _burning(objective: Objective, burns: tuple[Burn, ...]) -> str:
    return " or ".join(f"({_pair(objective, burn)})" for burn in burns)


def _pair(objective: Objective, burn: Burn) -> str:
    much = min(burn.rate * (1 - objective.share), MOST)
    bad = f"deployment:{objective.name}_bad:ratio_"
    # A sum of what was recorded, since increase() would extrapolate two requests to many where the window is young.
    requests = f"sum_over_time(deployment:{objective.name}_all:rate5m[{burn.long}]) * {EVALUATION_S}"
    return f"{bad}{burn.long} > {much:.6g} and {bad}{burn.short} > {much:.6g} and {requests} >= {FEW_REQUESTS}"
