"""What Prometheus reads and warns of; `promtool` judges the files where there is one."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploykit.planning.plan import Parallelism, Plan
from deploykit.rendering.layout import MONITORING_PORT
from tests.rendering.builders import GATEWAY, NO_GATEWAY, make_engine, make_plan
from tests.rendering.test_renderer import bundle_of

TWO_NODES = make_plan(nodes=2, parallelism=Parallelism(tensor=4, replicas=4))


def scrape(plan: Plan, hosts: tuple[str, ...], gateway: Any = GATEWAY) -> dict[str, Any]:
    data = yaml.safe_load(bundle_of(plan, hosts, gateway).file("monitoring/prometheus.yml").content)
    return {job["job_name"]: job["static_configs"] for job in data["scrape_configs"]}


def alerts(gateway: Any = GATEWAY) -> dict[str, str]:
    data = yaml.safe_load(bundle_of(make_plan(), gateway=gateway).file("monitoring/alerts.yml").content)
    return {rule["alert"]: rule["expr"] for rule in data["groups"][0]["rules"]}


def test_every_engine_is_read_from_the_first_node() -> None:
    jobs = scrape(TWO_NODES, ("10.0.0.1", "10.0.0.2"))
    assert [job["targets"] for job in jobs["engine"]] == [
        ["127.0.0.1:8001"], ["127.0.0.1:8002"], ["10.0.0.2:8001"], ["10.0.0.2:8002"],
    ]  # fmt: skip
    assert [job["labels"]["engine_instance"] for job in jobs["engine"]] == [f"engine-{i}" for i in range(4)]


def test_headless_ranks_have_no_metrics() -> None:
    plan = make_plan(nodes=2, parallelism=Parallelism(tensor=8, pipeline=2, nodes_per_engine=2))
    (job,) = scrape(plan, ("a", "b"))["engine"]
    assert job["labels"]["engine_instance"] == "rank-0"


def test_labels_do_not_hide_those_of_the_engine() -> None:
    (job,) = scrape(make_plan(), ("a",))["engine"]
    assert not {"engine", "model_name", "instance", "job"} & set(job["labels"])


def test_the_gateway_is_read_where_there_is_one() -> None:
    assert scrape(make_plan(), ("a",))["gateway"] == [{"targets": ["127.0.0.1:8405"]}]
    assert "gateway" not in scrape(make_plan(), ("a",), NO_GATEWAY)
    assert "GatewayDown" in alerts()
    assert "GatewayDown" not in alerts(NO_GATEWAY)


def test_rules_use_the_names_that_the_release_gives_its_metrics() -> None:
    metrics, rules = make_engine().metrics, alerts()
    assert metrics.requests_waiting in rules["EngineQueueGrowing"]
    assert metrics.requests_running in rules["EngineQueueGrowing"]
    assert metrics.kv_cache_usage in rules["EngineKvCacheNearlyFull"]
    assert metrics.preemptions in rules["EnginePreempting"]
    assert "EngineDown" in rules


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no `promtool` on the PATH")
def test_promtool_takes_the_files_and_the_rules_fire(tmp_path: Path) -> None:
    bundle = bundle_of(TWO_NODES, ("10.0.0.1", "10.0.0.2"))
    for name in ("prometheus.yml", "alerts.yml"):
        (tmp_path / name).write_text(bundle.file(f"monitoring/{name}").content)
    (tmp_path / "test.yml").write_text(yaml.safe_dump(RULE_TEST))
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "test.yml"]):
        run = subprocess.run(["promtool", *command], check=False, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


ENGINE = 'engine_instance="engine-0", host="h"'
RULE_TEST: dict[str, Any] = {
    "rule_files": ["alerts.yml"],
    "evaluation_interval": "1m",
    "tests": [
        {
            "interval": "1m",
            "input_series": [
                {"series": f'up{{job="engine", {ENGINE}}}', "values": "1x14 0x20"},
                {"series": 'up{job="gateway"}', "values": "1x40"},
                # Two data-parallel ranks: together 10 run, and from 2 upwards ever more wait.
                {"series": f'vllm:num_requests_running{{{ENGINE}, engine="0"}}', "values": "5x40"},
                {"series": f'vllm:num_requests_running{{{ENGINE}, engine="1"}}', "values": "5x40"},
                {"series": f'vllm:num_requests_waiting{{{ENGINE}, engine="0"}}', "values": "1+1x40"},
                {"series": f'vllm:num_requests_waiting{{{ENGINE}, engine="1"}}', "values": "1+1x40"},
                {"series": f'vllm:kv_cache_usage_perc{{{ENGINE}, engine="0"}}', "values": "0.5x40"},
                {"series": f'vllm:kv_cache_usage_perc{{{ENGINE}, engine="1"}}', "values": "0.97x40"},
                {"series": f'vllm:num_preemptions_total{{{ENGINE}, engine="0"}}', "values": "7x40"},
                {"series": 'vllm:num_preemptions_total{engine_instance="engine-1", host="h"}', "values": "0+1x40"},
            ],
            "promql_expr_test": [
                {"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)', "eval_time": at,
                 "exp_samples": [{"labels": "{}", "value": value}]}
                for name, at, value in (
                    ("EngineDown", "14m", 0), ("EngineDown", "20m", 1), ("GatewayDown", "20m", 0),
                    ("EngineQueueGrowing", "4m", 0), ("EngineQueueGrowing", "20m", 1),
                    ("EngineKvCacheNearlyFull", "2m", 0), ("EngineKvCacheNearlyFull", "10m", 1),
                    ("EnginePreempting", "9m", 0), ("EnginePreempting", "30m", 1),
                )
            ],
        }
    ],
}  # fmt: skip


def test_the_role_listens_where_the_renderer_says():
    role = (
        Path(__file__).resolve().parents[2]
        / "playbooks"
        / "roles"
        / "monitoring"
        / "templates"
        / "monitoring.service.j2"
    )
    assert f"--web.listen-address=127.0.0.1:{MONITORING_PORT}" in role.read_text()
