"""Metric names in, recorded series out: what rules and dashboard read, by names that no engine release changes."""

from decimal import Decimal

from deploykit.catalog.engine import Histogram, MetricNames
from deploykit.rendering.monitoring.rule import BY_ENGINE, Recorded
from deploykit.rendering.options import MonitoringOptions

USD_PER_M = "deployment:usd_per_m_tokens"
_QUANTILES = (0.5, 0.95)


def recorded(metrics: MetricNames, options: MonitoringOptions) -> list[Recorded]:
    """Return the series of each engine, of the whole deployment, and of its cost."""
    return [*_engines(metrics), *_quantiles(metrics), *_tokens(metrics), *_cost(options)]


def _engines(metrics: MetricNames) -> list[Recorded]:
    gauges = (
        ("requests_running:sum", "sum", metrics.requests_running),
        ("requests_waiting:sum", "sum", metrics.requests_waiting),
        ("kv_cache_usage:max", "max", metrics.kv_cache_usage),
    )
    counters = (
        ("prompt_tokens", metrics.prompt_tokens),
        ("cached_tokens", metrics.cached_tokens),
        ("output_tokens", metrics.output_tokens),
        ("requests_finished", metrics.requests_finished),
        ("preemptions", metrics.preemptions),
    )
    return [
        *(Recorded(record=f"engine_instance:{n}", expr=f"{how} by ({BY_ENGINE}) ({m})") for n, how, m in gauges),
        *(
            Recorded(record=f"engine_instance:{n}:rate5m", expr=f"sum by ({BY_ENGINE}) (rate({m}[5m]))")
            for n, m in counters
        ),
    ]


def _quantiles(metrics: MetricNames) -> list[Recorded]:
    """Return median and 95th percentile per limit, from the buckets of the last five minutes, over all engines."""
    every = (("ttft", metrics.ttft), ("tpot", metrics.tpot), ("e2e", metrics.e2e))
    return [
        Recorded(record=f"deployment:{name}_seconds:p{quantile * 100:g}_5m", expr=_quantile(quantile, histogram))
        for name, histogram in every
        if histogram is not None
        for quantile in _QUANTILES
    ]


def _quantile(quantile: float, histogram: Histogram) -> str:
    return f"histogram_quantile({quantile:g}, sum by (le) (rate({histogram.name}_bucket[5m])))"


def _tokens(metrics: MetricNames) -> list[Recorded]:
    """Return tokens per second, in and out, those from the prefix cache included: what the report divides dollars by.

    While nothing is served it is 0 and not unknown: the node is paid for.
    """
    every = f"sum(rate({metrics.prompt_tokens}[5m])) + sum(rate({metrics.output_tokens}[5m]))"
    return [Recorded(record="deployment:tokens:rate5m", expr=f"({every}) or vector(0)")]


def _cost(options: MonitoringOptions) -> list[Recorded]:
    """Return dollars per million tokens of the last hour and day, where the price of an hour is known."""
    if options.usd_per_hour is None:
        return []
    rules = [Recorded(record="deployment:usd:per_hour", expr=f"vector({_plain(options.usd_per_hour)})")]
    for window in ("1h", "1d"):
        millions = f"(avg_over_time(deployment:tokens:rate5m[{window}]) * 3600 / 1e6)"
        rules.append(Recorded(record=f"{USD_PER_M}:{window}", expr=f"deployment:usd:per_hour / {millions}"))
    if options.usd_per_m_target is not None:
        rules.append(Recorded(record=f"{USD_PER_M}:target", expr=f"vector({_plain(options.usd_per_m_target)})"))
    return rules


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
