"""The live meter (`deploykit exporter`) as Prometheus reads it: its job, what is recorded of it, what it warns of."""

from typing import Any

from deploykit.rendering.monitoring.rule import Alert, Recorded

PREFIX = "deploykit_meter_"
JOB = "meter"
_DISTANCE = "deployment:meter_break_even_distance:usd_per_hour"
_ENOUGH_S = 20 * 3600
"""Of a day that have to be covered before it says which side is cheaper."""


def job(address: str) -> dict[str, Any]:
    """Return how the meter at `host:port` is read."""
    return {
        "job_name": JOB,
        "metrics_path": "/metrics",
        "static_configs": [{"targets": [address]}],
    }


def recorded() -> list[Recorded]:
    """Return the meter's series by the names that rules and dashboard read; two meters of one deployment count once."""
    kept = (
        ("meter_usd_per_m_tokens:max", "usd_per_million_tokens", "window"),
        ("meter_api_usd_per_m_tokens:max", "api_usd_per_million_tokens", "window, offer, hits"),
        ("meter_break_even_distance:usd_per_hour", "break_even_distance_usd_per_hour", "window, offer"),
        ("meter_break_even_factor:max", "break_even_factor", "window, offer"),
        ("meter_utilisation:ratio", "utilisation_ratio", "window"),
        ("meter_window_known:ratio", "window_known_ratio", "window"),
    )
    return [
        *(Recorded(record=f"deployment:{name}", expr=f"max by ({by}) ({PREFIX}{series})") for name, series, by in kept),
        Recorded(
            record="deployment:meter_tokens:rate5m",
            expr=f"max by (kind) (rate({PREFIX}tokens_total[5m]))",
        ),
    ]


def alerts() -> list[Alert]:
    """Return what is wrong with the meter, and what it found out."""
    return [
        Alert(
            name="MeterDown",
            expr=f'up{{job="{JOB}"}} == 0',
            lasting="10m",
            severity="warning",
            says="The meter at {{ $labels.instance }} does not answer: what tokens cost is not seen.",
        ),
        Alert(
            name="MeterBlind",
            expr=f"min by (engine) ({PREFIX}engine_up) == 0",
            lasting="15m",
            severity="warning",
            says="The meter cannot read {{ $labels.engine }}: its tokens are not counted, and a token looks dearer than it is.",
        ),
        Alert(
            name="ApiCheaper",
            expr=f'min by (offer) ({_DISTANCE}{{window="24h"}}) < 0 '
            f'and on () max({PREFIX}window_covered_seconds{{window="24h"}}) > {_ENOUGH_S}',
            lasting="6h",
            severity="warning",
            says="Over the last day {{ $labels.offer }} would have served the same tokens for less: "
            '{{ $value | printf "%.2f" }} dollars an hour.',
        ),
    ]
