"""Recorded series and exporters' names in, alerts out: few, each with what to look at and a runbook."""

from deploykit.catalog.engine import MetricNames
from deploykit.catalog.exporters import Exporters
from deploykit.planning.plan import Plan
from deploykit.rendering.monitoring import meter, slo
from deploykit.rendering.monitoring.recording import USD_PER_M
from deploykit.rendering.monitoring.rule import BY_ENGINE, Alert
from deploykit.rendering.monitoring.scrape import probed
from deploykit.rendering.options import GatewayOptions, MonitoringOptions

_RUNNING = "engine_instance:requests_running:sum"
_WAITING = "engine_instance:requests_waiting:sum"
_ENGINE = "{{ $labels.engine_instance }} on {{ $labels.host }}"
_PERCENT = "{{ $value | humanizePercentage }}"
_DAY_S = 86400
_WATCHED = "deploykit_engine_start_watched_time_seconds"
"""When an `up` that waits for an engine last looked at it: the playbooks leave it for the node exporter."""


def alerts(
    plan: Plan, metrics: MetricNames, exporters: Exporters, gateway: GatewayOptions, options: MonitoringOptions
) -> list[Alert]:
    """Return every alert that what is installed can raise."""
    found = [*_engines(), *_nodes(exporters)]
    for objective in slo.objectives(options.slo, metrics):
        found += slo.alerts(objective)
    if plan.runtime == "cuda":
        found += _gpus(plan, exporters)
    if gateway.enabled:
        found += _gateway(exporters)
    if probed(gateway):
        found += _certificate(exporters)
    if options.usd_per_m_target is not None and options.usd_per_hour is not None:
        found.append(_cost())
    if options.exporter is not None:
        found += meter.alerts()
    return found


def _engines() -> list[Alert]:
    tokens = "(engine_instance:prompt_tokens:rate5m + engine_instance:output_tokens:rate5m)"
    return [
        Alert(
            name="EngineDown",
            # An `up` that waits looks every few seconds, and gives up a start that gets nowhere.
            expr=f'up{{job="engine"}} == 0 unless on ({BY_ENGINE}) time() - {_WATCHED} < 60',
            lasting="1m",
            severity="critical",
            says=f"Engine {_ENGINE} does not answer. Look at its journal.",
        ),
        Alert(
            name="EngineNoProgress",
            expr=f"({_RUNNING} + {_WAITING}) > 0 and {tokens} == 0",
            lasting="5m",
            severity="critical",
            says=f"Engine {_ENGINE} holds {{{{ $value }}}} requests and has not read or written a token for 10 minutes.",
        ),
        Alert(
            name="EngineQueueGrowing",
            expr=f"{_WAITING} > {_RUNNING} and deriv({_WAITING}[10m]) > 0",
            lasting="5m",
            severity="warning",
            says=f"More requests wait for {_ENGINE} than it runs, and the queue grows: add a replica or shed load.",
        ),
        Alert(
            name="EngineKvCacheNearlyFull",
            expr="engine_instance:kv_cache_usage:max > 0.95",
            lasting="5m",
            severity="warning",
            says=f"The KV cache of {_ENGINE} has been over 95 % full for 5 minutes; preemptions come next.",
        ),
        Alert(
            name="EnginePreempting",
            expr="engine_instance:preemptions:rate5m > 0",
            lasting="10m",
            severity="warning",
            says=f"Engine {_ENGINE} throws away work to make room: lower max-num-seqs or the context limit.",
        ),
    ]


def _gateway(exporters: Exporters) -> list[Alert]:
    names = exporters.gateway
    bad = f'sum(rate({names.responses}{{code="5xx"}}[5m]))'
    return [
        Alert(
            name="GatewayDown",
            expr='up{job="gateway"} == 0',
            lasting="1m",
            severity="critical",
            says="The gateway does not answer; clients see no engine at all. Look at its journal.",
        ),
        Alert(
            name="GatewayNoEngine",
            # As with EngineDown: while an `up` waits for an engine, it tells of a start that fails.
            expr=f"{names.engines_up} == 0 unless on () time() - max({_WATCHED}) < 60",
            lasting="1m",
            severity="critical",
            says="No engine passes the gateway's health check: clients get 503.",
        ),
        Alert(
            name="GatewayErrors",
            expr=f"{bad} / sum(rate({names.responses}[5m])) > 0.05",
            lasting="5m",
            severity="warning",
            says=f"The gateway answers {_PERCENT} of all requests with an error of the server's.",
        ),
    ]


def _nodes(exporters: Exporters) -> list[Alert]:
    names = exporters.node
    free, where = f"{names.disk_free} / {names.disk_size}", "{{ $labels.mountpoint }} on {{ $labels.host }}"
    full = f"The disk at {where} has {_PERCENT} free."
    return [
        Alert(name="DiskNearlyFull", expr=f"{free} < 0.03", lasting="5m", severity="critical", says=full),
        Alert(name="DiskNearlyFull", expr=f"{free} < 0.1", lasting="15m", severity="warning", says=full),
        Alert(
            name="DiskFillsUp",
            # Only with six hours to go by: the download of the weights is no trend.
            expr=f"predict_linear({names.disk_free}[6h], {_DAY_S}) < 0 and {free} < 0.4 and {names.disk_free} offset 6h > 0",
            lasting="1h",
            severity="warning",
            says=f"The disk at {where} is full within a day if it goes on like this.",
        ),
        Alert(
            name="ExporterDown",
            expr='up{job=~"node|gpu|certificate"} == 0',
            lasting="10m",
            severity="warning",
            says="The {{ $labels.job }} exporter at {{ $labels.instance }} does not answer: what it would warn of is not seen.",
        ),
    ]


def _gpus(plan: Plan, exporters: Exporters) -> list[Alert]:
    names = exporters.gpu
    which = "GPU {{ $labels.gpu }} of {{ $labels.host }}"
    hardware = " or ".join(f"{names.xid} == {code}" for code in exporters.xid.hardware)
    return [
        Alert(
            name="GpuXid",
            expr=hardware,
            lasting="0s",
            severity="critical",
            says=f"{which} reports Xid {{{{ $value }}}}: the hardware is suspect. Drain the node.",
        ),
        Alert(
            name="GpuXid",
            expr=f"{names.xid} > 0 unless ({hardware})",
            lasting="0s",
            severity="warning",
            says=f"{which} reports Xid {{{{ $value }}}}, which is mostly a program's fault.",
        ),
        Alert(
            name="GpuEccUncorrected",
            expr=f"{names.ecc_uncorrected} > 0",
            lasting="0s",
            severity="critical",
            says=f"{which} has {{{{ $value }}}} uncorrectable ECC errors since the driver was loaded.",
        ),
        Alert(
            name="GpuRowRemapFailed",
            expr=f"{names.row_remap_failed} > 0",
            lasting="0s",
            severity="critical",
            says=f"{which} could not remap a faulty memory row: have it replaced.",
        ),
        Alert(
            name="GpuMissing",
            expr=f"count by (host) ({names.temperature}) < {plan.gpus_per_node}",
            lasting="2m",
            severity="critical",
            says=f"{{{{ $labels.host }}}} shows {{{{ $value }}}} of {plan.gpus_per_node} GPUs.",
        ),
    ]


def _certificate(exporters: Exporters) -> list[Alert]:
    names = exporters.probe
    left = f'{names.certificate_expiry}{{job="certificate"}} - time()'
    says = "The certificate of {{ $labels.domain }} runs out in {{ $value | humanizeDuration }}."
    return [
        Alert(name="CertificateExpires", expr=f"{left} < {3 * _DAY_S}", lasting="5m", severity="critical", says=says),
        Alert(name="CertificateExpires", expr=f"{left} < {14 * _DAY_S}", lasting="1h", severity="warning", says=says),
        Alert(
            name="CertificateUnreadable",
            expr=f'{names.success}{{job="certificate"}} == 0',
            lasting="5m",
            severity="critical",
            says="No TLS handshake with the gateway for {{ $labels.domain }}: clients cannot connect.",
        ),
    ]


def _cost() -> Alert:
    return Alert(
        name="CostAboveTarget",
        expr=f"{USD_PER_M}:1d > {USD_PER_M}:target",
        lasting="6h",
        severity="warning",
        says='A million tokens have cost {{ $value | printf "%.2f" }} dollars over the last day, more than the target.',
    )
