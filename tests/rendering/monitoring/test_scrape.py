"""What Prometheus reads: engines, nodes, GPUs, the gateway and its certificate."""

from typing import Any

import yaml

from deploykit.paths import shipped
from deploykit.planning.plan import Parallelism, Plan
from deploykit.rendering.layout import (
    GPU_EXPORTER_PORT,
    METRICS_PORT,
    MONITORING_PORT,
    NODE_EXPORTER_PORT,
    PROBE_PORT,
)
from deploykit.rendering.options import GatewayOptions, MonitoringOptions
from tests.rendering.builders import GATEWAY, NO_GATEWAY, make_plan
from tests.rendering.test_renderer import bundle_of

TWO_NODES = make_plan(nodes=2, parallelism=Parallelism(tensor=4, replicas=4))
WITH_TLS = GatewayOptions(enabled=True, key_required=True, port=443, domain="llm.example.org", tls="internal")


def config(plan: Plan, hosts: tuple[str, ...], gateway: Any = GATEWAY, **options: Any) -> dict[str, Any]:
    bundle = bundle_of(plan, hosts, gateway, MonitoringOptions(**options))
    return yaml.safe_load(bundle.file("monitoring/prometheus.yml").content)


def scrape(plan: Plan, hosts: tuple[str, ...], gateway: Any = GATEWAY) -> dict[str, Any]:
    return {job["job_name"]: job["static_configs"] for job in config(plan, hosts, gateway)["scrape_configs"]}


def test_every_engine_is_read_from_the_first_node() -> None:
    jobs = scrape(TWO_NODES, ("10.0.0.1", "10.0.0.2"))
    assert [job["targets"] for job in jobs["engine"]] == [
        ["127.0.0.1:8001"], ["127.0.0.1:8002"], ["10.0.0.2:8001"], ["10.0.0.2:8002"],
    ]  # fmt: skip
    assert [job["labels"]["engine_instance"] for job in jobs["engine"]] == [f"engine-{i}" for i in range(4)]


def test_headless_ranks_have_no_metrics_but_their_nodes_have() -> None:
    plan = make_plan(nodes=2, parallelism=Parallelism(tensor=8, pipeline=2, nodes_per_engine=2))
    jobs = scrape(plan, ("a", "b"))
    assert [job["labels"]["engine_instance"] for job in jobs["engine"]] == ["rank-0"]
    for name, port in (("node", NODE_EXPORTER_PORT), ("gpu", GPU_EXPORTER_PORT)):
        assert jobs[name] == [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"host": "a"}},
            {"targets": [f"b:{port}"], "labels": {"host": "b"}},
        ]


def test_an_ipv6_node_is_read_in_brackets() -> None:
    jobs = scrape(TWO_NODES, ("2001:db8::1", "2001:db8::2"))
    assert jobs["node"][1]["targets"] == [f"[2001:db8::2]:{NODE_EXPORTER_PORT}"]


def test_labels_do_not_hide_those_of_the_engine() -> None:
    (job,) = scrape(make_plan(), ("a",))["engine"]
    assert not {"engine", "model_name", "instance", "job"} & set(job["labels"])


def test_the_gateway_is_read_where_there_is_one() -> None:
    assert scrape(make_plan(), ("a",))["gateway"] == [{"targets": [f"127.0.0.1:{METRICS_PORT}"]}]
    assert "gateway" not in scrape(make_plan(), ("a",), NO_GATEWAY)


def test_a_certificate_is_probed_where_there_is_one() -> None:
    jobs = {job["job_name"]: job for job in config(make_plan(), ("a",), WITH_TLS)["scrape_configs"]}
    assert jobs["certificate"]["params"] == {"module": ["tls"], "target": ["127.0.0.1:443"]}
    assert jobs["certificate"]["static_configs"][0]["targets"] == [f"127.0.0.1:{PROBE_PORT}"]
    probe = yaml.safe_load(bundle_of(make_plan(), ("a",), WITH_TLS).file("monitoring/probe.yml").content)
    assert probe["modules"]["tls"]["tcp"]["tls_config"]["server_name"] == "llm.example.org"
    assert "certificate" not in scrape(make_plan(), ("a",))
    assert "monitoring/probe.yml" not in [file.path for file in bundle_of(make_plan()).files]


def test_alertmanagers_are_told_where_there_are_some() -> None:
    told = config(make_plan(), ("a",), alertmanagers=("alerts.example.org:9093",))["alerting"]
    assert told == {"alertmanagers": [{"static_configs": [{"targets": ["alerts.example.org:9093"]}]}]}
    assert "alerting" not in config(make_plan(), ("a",))


def test_the_meter_is_read_where_it_is_said_to_be() -> None:
    jobs = {job["job_name"]: job for job in config(make_plan(), ("a",), exporter="10.0.0.9:9109")["scrape_configs"]}
    assert jobs["meter"]["static_configs"] == [{"targets": ["10.0.0.9:9109"]}]
    assert "meter" not in scrape(make_plan(), ("a",))


def test_the_units_listen_where_the_renderer_says() -> None:
    units = shipped("playbooks") / "roles" / "monitoring" / "templates"
    for unit, listens in (
        ("monitoring.service.j2", f"--web.listen-address=127.0.0.1:{MONITORING_PORT}"),
        ("node-exporter.service.j2", f":{NODE_EXPORTER_PORT}"),
        ("gpu-exporter.service.j2", f":{GPU_EXPORTER_PORT}"),
        ("probe.service.j2", f"--web.listen-address=127.0.0.1:{PROBE_PORT}"),
    ):
        assert listens in (units / unit).read_text(encoding="utf-8"), unit
