"""Engine addresses and metric names in, Prometheus' scrape configuration and alert rules out."""

from collections.abc import Iterable
from typing import Any

from deploykit.catalog.engine import MetricNames
from deploykit.planning.plan import Plan
from deploykit.rendering.layout import METRICS_PORT, Instance
from deploykit.rendering.options import GatewayOptions
from deploykit.rendering.serve_config import comment, yaml_text


def prometheus_yaml(
    plan: Plan, found: Iterable[Instance], gateway: GatewayOptions, *, header: Iterable[str] = ()
) -> str:
    """Return prometheus.yml: every engine that answers HTTP, and the gateway."""
    # `engine` is taken: vLLM labels its own series with it, for the data-parallel rank.
    engines = [
        {"targets": [i.address], "labels": {"engine_instance": i.name, "host": i.host, "model": plan.model}}
        for i in found
        if not i.headless
    ]
    jobs: list[dict[str, Any]] = [{"job_name": "engine", "metrics_path": "/metrics", "static_configs": engines}]
    if gateway.enabled:
        target = {"targets": [f"127.0.0.1:{METRICS_PORT}"]}
        jobs.append({"job_name": "gateway", "metrics_path": "/metrics", "static_configs": [target]})
    data = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "15s"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": jobs,
    }
    return comment(*header) + yaml_text(data)


def alerts_yaml(metrics: MetricNames, gateway: GatewayOptions, *, header: Iterable[str] = ()) -> str:
    """Return alerts.yml: few rules, each with what to look at."""
    waiting, running = _per_engine("sum", metrics.requests_waiting), _per_engine("sum", metrics.requests_running)
    rules = [
        _rule(
            "EngineDown",
            'up{job="engine"} == 0',
            "1m",
            "critical",
            "Engine {{ $labels.engine_instance }} on {{ $labels.host }} does not answer. Look at its journal.",
        ),
        _rule(
            "EngineQueueGrowing",
            f"{waiting} > {running} and deriv({waiting}[10m:1m]) > 0",
            "5m",
            "warning",
            "More requests wait for {{ $labels.engine_instance }} than it runs, and the queue grows: add a replica or shed load.",
        ),
        _rule(
            "EngineKvCacheNearlyFull",
            f"{_per_engine('max', metrics.kv_cache_usage)} > 0.95",
            "5m",
            "warning",
            "The KV cache of {{ $labels.engine_instance }} has been over 95 % full for 5 minutes; preemptions come next.",
        ),
        _rule(
            "EnginePreempting",
            f"sum by (engine_instance) (increase({metrics.preemptions}[10m])) > 0",
            "10m",
            "warning",
            "Engine {{ $labels.engine_instance }} throws away work to make room: lower max-num-seqs or the context limit.",
        ),
    ]
    if gateway.enabled:
        says = "The gateway does not answer; clients see no engine at all. Look at its journal."
        rules.append(_rule("GatewayDown", 'up{job="gateway"} == 0', "1m", "critical", says))
    return comment(*header) + yaml_text({"groups": [{"name": "deploykit", "rules": rules}]})


def _per_engine(how: str, metric: str) -> str:
    return f"{how} by (engine_instance) ({metric})"


def _rule(name: str, expression: str, lasting: str, severity: str, says: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity},
        "annotations": {"summary": says},
    }
