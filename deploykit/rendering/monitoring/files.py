"""A plan, its engines and what to watch in, the bundle's monitoring/ folder out. Same input, same bytes."""

from collections.abc import Iterable

from deploykit.catalog.engine import MetricNames
from deploykit.catalog.exporters import Exporters, GpuExporter
from deploykit.planning.plan import Plan
from deploykit.rendering.bundle import BundleFile
from deploykit.rendering.layout import Instance
from deploykit.rendering.monitoring import meter, recording, slo
from deploykit.rendering.monitoring.alerts import alerts
from deploykit.rendering.monitoring.scrape import RULE_FILES, probe_data, probed, prometheus_data
from deploykit.rendering.options import GatewayOptions, MonitoringOptions
from deploykit.rendering.serve_config import comment, yaml_text

_RECORDING, _ALERTS = RULE_FILES


def monitoring_files(
    plan: Plan,
    found: tuple[Instance, ...],
    *,
    metrics: MetricNames,
    exporters: Exporters,
    gateway: GatewayOptions,
    options: MonitoringOptions,
    header: Iterable[str] = (),
) -> list[BundleFile]:
    """Return what Prometheus reads, records and warns of, and what its exporters are told."""
    above = comment(*header)
    recorded = recording.recorded(metrics, options)
    for objective in slo.objectives(options.slo, metrics):
        recorded += slo.recorded(objective)
    if options.exporter is not None:
        recorded += meter.recorded()
    raised = alerts(plan, metrics, exporters, gateway, options)
    data: list[tuple[str, object, str]] = [
        ("prometheus.yml", prometheus_data(plan, found, gateway, options), "What Prometheus reads."),
        (_RECORDING, _group("recorded", [rule.as_rule() for rule in recorded]), "What it computes for rules and dashboard."),
        (_ALERTS, _group("alerts", [alert.as_rule() for alert in raised]), "What it warns of, each with its runbook."),
    ]  # fmt: skip
    if probed(gateway):
        data.append(("probe.yml", probe_data(found, gateway), "How the gateway's certificate is looked at."))
    files = [
        BundleFile(path=f"monitoring/{name}", content=above + yaml_text(content), purpose=purpose)
        for name, content, purpose in data
    ]
    if plan.runtime == "cuda":
        fields = BundleFile(
            path="monitoring/gpu-fields.csv",
            content=above + _fields(exporters.gpu),
            purpose="What the GPU exporter reads.",
        )
        files.append(fields)
    return files


def _group(name: str, rules: list[dict[str, object]]) -> dict[str, object]:
    return {"groups": [{"name": f"deploykit-{name}", "rules": rules}]}


def _fields(gpu: GpuExporter) -> str:
    """Return the exporter's own format: field, Prometheus type, help; `#` begins a comment."""
    counters = {gpu.energy, gpu.ecc_uncorrected}
    names = (
        gpu.utilization, gpu.memory_used, gpu.temperature, gpu.power, gpu.energy, gpu.xid, gpu.ecc_uncorrected, gpu.row_remap_failed,
    )  # fmt: skip
    lines = (f"{name}, {'counter' if name in counters else 'gauge'}, {name}\n" for name in names)
    return "".join(lines)
