"""Write the Grafana dashboard with Grafana's own SDK: `python scripts/dashboard.py`.

It reads recorded series and exporters' names alone, so that one dashboard serves every model and engine release.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from deploykit.catalog.exporters import Exporters
from deploykit.effects.yaml_files import load_yaml_model

PROFILES = Path(__file__).parents[1] / "profiles"
FILE = PROFILES / "dashboards" / "deploykit.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
WIDTH, HEIGHT = 8, 7
ENGINE = "{{engine_instance}} {{host}}"

_Panel = TypeVar("_Panel", timeseries.Panel, stat.Panel)

Query = tuple[str, str]
"""An expression and its legend."""


def lines(title: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Return a panel of series over time."""
    return _filled(timeseries.Panel(), title, unit, queries)


def number(title: str, unit: str, *queries: Query) -> stat.Panel:
    """Return a panel of the newest values."""
    return _filled(stat.Panel(), title, unit, queries)


def _filled(panel: _Panel, title: str, unit: str, queries: Iterable[Query]) -> _Panel:
    panel.title(title).unit(unit).datasource(SOURCE).span(WIDTH).height(HEIGHT)
    for letter, (expression, legend) in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter))
    return panel


def limit(name: str) -> list[Query]:
    """Return an SLO's limit, median and 95th percentile."""
    found = [(f"deployment:{name}_seconds:p{p}_5m", f"p{p}") for p in (50, 95)]
    return [*found, (f"deployment:{name}_limit:seconds", "limit")]


def burn(name: str) -> list[Query]:
    """Return the share of bad requests in every window that an alert reads."""
    return [(f"deployment:{name}_bad:ratio_{window}", window) for window in ("5m", "1h", "6h", "1d", "3d")]


def rows(exporters: Exporters) -> dict[str, list[timeseries.Panel | stat.Panel]]:
    """Return the panels by row."""
    node, gpu, gateway = exporters.node, exporters.gpu, exporters.gateway
    busy = f'1 - avg by (host) (rate({node.cpu_seconds}{{mode="idle"}}[5m]))'
    return {
        "Now": [
            number("Engines that answer", "none", ('sum(up{job="engine"})', "up"), ('count(up{job="engine"})', "of")),
            number("Alerts", "none", ('sum(ALERTS{alertstate="firing"}) or vector(0)', "firing")),
            number("Tokens per second", "none", ("deployment:tokens:rate5m", "read and written")),
        ],
        "SLO": [
            lines("Time to first token", "s", *limit("ttft")),
            lines("Time per output token", "s", *limit("tpot")),
            lines("Time to the last token", "s", *limit("e2e")),
            lines("Requests beyond the limit: first token", "percentunit", *burn("ttft")),
            lines("Requests beyond the limit: output tokens", "percentunit", *burn("tpot")),
            lines("Requests beyond the limit: last token", "percentunit", *burn("e2e")),
        ],
        "Load": [
            lines("Tokens read per second", "none", ("engine_instance:prompt_tokens:rate5m", ENGINE),
                  ("engine_instance:cached_tokens:rate5m", f"cached {ENGINE}")),
            lines("Tokens written per second", "none", ("engine_instance:output_tokens:rate5m", ENGINE)),
            lines("Requests per second", "reqps", ("engine_instance:requests_finished:rate5m", ENGINE)),
        ],
        "Engine": [
            lines("Requests", "none", ("engine_instance:requests_running:sum", f"running {ENGINE}"),
                  ("engine_instance:requests_waiting:sum", f"waiting {ENGINE}")),
            lines("KV cache, fullest rank", "percentunit", ("engine_instance:kv_cache_usage:max", ENGINE)),
            lines("Preemptions per second", "none", ("engine_instance:preemptions:rate5m", ENGINE)),
        ],
        "Cost": [
            lines("Dollars per million tokens", "currencyUSD", ("deployment:usd_per_m_tokens:1h", "last hour"),
                  ("deployment:usd_per_m_tokens:1d", "last day"), ("deployment:usd_per_m_tokens:target", "target")),
            number("Dollars per hour", "currencyUSD", ("deployment:usd:per_hour", "all nodes")),
        ],
        "Meter": [
            lines("Dollars per million tokens, ours and the API's", "currencyUSD",
                  ('deployment:meter_usd_per_m_tokens:max{window="1h"}', "ours, last hour"),
                  ('deployment:meter_usd_per_m_tokens:max{window="24h"}', "ours, last day"),
                  ('deployment:meter_api_usd_per_m_tokens:max{window="1h", hits="same"}', "{{offer}}, our cache hits"),
                  ('deployment:meter_api_usd_per_m_tokens:max{window="1h", hits="none"}', "{{offer}}, no cache hits")),
            lines("Distance to break-even per hour, above 0 ours is cheaper", "currencyUSD",
                  ('deployment:meter_break_even_distance:usd_per_hour{window="1h"}', "{{offer}}")),
            number("So many times this traffic would break even", "none",
                   ('deployment:meter_break_even_factor:max{window="24h"}', "{{offer}}, last day")),
            lines("Tokens per second by kind", "none", ("deployment:meter_tokens:rate5m", "{{kind}}")),
            lines("Utilisation of the capacity", "percentunit", ("deployment:meter_utilisation:ratio", "{{window}}")),
            lines("Engine time whose tokens are known", "percentunit", ("deployment:meter_window_known:ratio", "{{window}}")),
        ],
        "Gateway": [
            lines("Answers per second", "reqps", (f"sum by (code) (rate({gateway.responses}[5m]))", "{{code}}")),
            lines("Engines that pass their health check", "none", (gateway.engines_up, "{{proxy}}")),
            lines("Sessions and queue", "none", (gateway.sessions, "sessions {{proxy}}"), (gateway.queue, "queue {{proxy}}")),
        ],
        "GPUs": [
            lines("Utilisation", "percent", (gpu.utilization, "{{host}} {{gpu}}")),
            lines("Memory used", "mbytes", (gpu.memory_used, "{{host}} {{gpu}}")),
            lines("Temperature", "celsius", (gpu.temperature, "{{host}} {{gpu}}")),
            lines("Power", "watt", (gpu.power, "{{host}} {{gpu}}")),
            lines("Last Xid", "none", (gpu.xid, "{{host}} {{gpu}}")),
            lines("Uncorrectable ECC errors", "none", (gpu.ecc_uncorrected, "{{host}} {{gpu}}")),
        ],
        "Nodes": [
            lines("CPU", "percentunit", (busy, "{{host}}")),
            lines("Memory free", "percentunit", (f"{node.memory_free} / {node.memory_size}", "{{host}}")),
            lines("Disk free", "percentunit", (f"{node.disk_free} / {node.disk_size}", "{{host}} {{mountpoint}}")),
        ],
    }  # fmt: skip


def dashboard_text() -> str:
    """Return the dashboard's JSON: same code and facts, same bytes."""
    exporters = load_yaml_model(PROFILES / "exporters.yaml", Exporters)
    built = (
        dashboard.Dashboard("deploykit")
        .uid("deploykit")
        .tags(["deploykit", "vllm"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for title, panels in rows(exporters).items():
        built = built.with_row(dashboard.Row(title))
        for panel in panels:
            built = built.with_panel(panel)
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(dashboard_text(), encoding="utf-8")
