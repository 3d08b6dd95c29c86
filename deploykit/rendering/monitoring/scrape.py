"""Engines, nodes and gateway in, what Prometheus reads out: one job per kind of exporter."""

from collections.abc import Iterable
from typing import Any

from deploykit.planning.plan import Plan
from deploykit.rendering.layout import (
    GPU_EXPORTER_PORT,
    METRICS_PORT,
    NODE_EXPORTER_PORT,
    PROBE_PORT,
    Instance,
    bracketed,
    gateway_name,
)
from deploykit.rendering.monitoring import meter
from deploykit.rendering.monitoring.rule import EVALUATION_S
from deploykit.rendering.options import GatewayOptions, MonitoringOptions

GATEWAY_JOB: dict[str, Any] = {
    "job_name": "gateway",
    "metrics_path": "/metrics",
    "static_configs": [{"targets": [f"127.0.0.1:{METRICS_PORT}"]}],
}
"""How the gateway is read, whatever gateway it is."""

RULE_FILES = ("recording.yml", "alerts.yml")
_PROBE = "tls"


def prometheus_data(
    plan: Plan, found: tuple[Instance, ...], gateway: GatewayOptions, options: MonitoringOptions
) -> dict[str, Any]:
    """Return prometheus.yml: every engine that answers HTTP, every node, its GPUs, the gateway and its certificate."""
    jobs = [_engines(plan, found), _on_every_node("node", NODE_EXPORTER_PORT, found)]
    if plan.runtime == "cuda":
        jobs.append(_on_every_node("gpu", GPU_EXPORTER_PORT, found))
    if gateway.enabled:
        jobs.append(GATEWAY_JOB)
    if probed(gateway):
        jobs.append(_certificate(found, gateway))
    if options.exporter is not None:
        jobs.append(meter.job(options.exporter))
    data: dict[str, Any] = {"global": {"scrape_interval": "5s", "evaluation_interval": f"{EVALUATION_S}s"}}
    if options.alertmanagers:
        data["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": list(options.alertmanagers)}]}]}
    return {**data, "rule_files": list(RULE_FILES), "scrape_configs": jobs}


def probe_data(found: tuple[Instance, ...], gateway: GatewayOptions) -> dict[str, Any]:
    """Return the probe's one module: the TLS handshake a client would make, whatever the certificate is worth.

    It does not judge the certificate, since the date of one that is wrong or has run out is wanted as well.
    """
    tls = {"server_name": gateway_name(found, gateway), "insecure_skip_verify": True}
    return {"modules": {_PROBE: {"prober": "tcp", "timeout": "5s", "tcp": {"tls": True, "tls_config": tls}}}}


def probed(gateway: GatewayOptions) -> bool:
    """Return whether there is a certificate to watch."""
    return gateway.enabled and gateway.tls != "off"


def _engines(plan: Plan, found: Iterable[Instance]) -> dict[str, Any]:
    # `engine` is taken: vLLM labels its own series with it, for the data-parallel rank.
    targets = [
        {"targets": [i.address], "labels": {"engine_instance": i.name, "host": i.host, "model": plan.model}}
        for i in found
        if not i.headless
    ]
    return {"job_name": "engine", "metrics_path": "/metrics", "static_configs": targets}


def _on_every_node(name: str, port: int, found: Iterable[Instance]) -> dict[str, Any]:
    hosts = {i.node_index: i.host for i in found}
    targets = [
        {"targets": [f"{'127.0.0.1' if index == 0 else bracketed(host)}:{port}"], "labels": {"host": host}}
        for index, host in sorted(hosts.items())
    ]
    return {"job_name": name, "metrics_path": "/metrics", "static_configs": targets}


def _certificate(found: tuple[Instance, ...], gateway: GatewayOptions) -> dict[str, Any]:
    return {
        "job_name": "certificate",
        "metrics_path": "/probe",
        "params": {"module": [_PROBE], "target": [f"127.0.0.1:{gateway.port}"]},
        "scrape_interval": "1m",
        "static_configs": [
            {"targets": [f"127.0.0.1:{PROBE_PORT}"], "labels": {"domain": gateway_name(found, gateway)}}
        ],
    }
