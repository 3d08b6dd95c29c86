import json
from pathlib import Path

import pytest
import yaml

from deploykit.cli.targets import refuse_a_router_without_a_network
from deploykit.errors import UsageError
from deploykit.intent import GatewayIntent, Intent

HOSTS = "model: qwen3-235b\nnode: h200-sxm-8x\nhosts:\n  - {name: gpu1, address: 192.0.2.1}\n"


def test_up_refuses_to_serve_everybody_on_a_real_node(run):
    Path("deploykit.yaml").write_text(HOSTS)
    ran = run("up")
    assert ran.code == 2
    assert "DEPLOYKIT_API_KEY" in ran.err
    assert "public: true" in ran.err


def test_the_dry_run_says_who_could_call_and_what_travels_in_the_clear(run, monkeypatch):
    Path("deploykit.yaml").write_text(HOSTS)
    said = " ".join(json.loads(run("up", "--dry-run", "--json").out)["result"]["not_checked"])
    assert "no DEPLOYKIT_API_KEY" in said
    assert "plain HTTP" in said
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "key")
    Path("deploykit.yaml").write_text(HOSTS + "gateway: {domain: llm.example.com, tls: internal}\n")
    said = " ".join(json.loads(run("up", "--dry-run", "--json").out)["result"]["not_checked"])
    assert "DEPLOYKIT_API_KEY" not in said
    assert "plain HTTP" not in said


def test_plan_holds_settings_against_the_flags_as_render_does(run):
    ran = run("plan", "gpt-oss-120b", "--node", "h200-sxm-8x", "--set", "max-num-sequences=3")
    assert ran.code == 5
    assert "max-num-seqs" in ran.err


def test_a_second_down_is_no_error(run):
    assert run("down").code == 0
    assert json.loads(run("down", "--json").out)["result"] == {"name": None, "changed": 0}


def test_the_intent_file_can_be_committed(run):
    run("init", "qwen3-235b", "--node", "h200-sxm-8x")
    first = Path("deploykit.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=.deploykit/intent.schema.json"
    assert json.loads(Path(".deploykit/intent.schema.json").read_text())["title"]


def test_routing_by_cached_prefixes_is_one_word_of_the_intent(run):
    Path("deploykit.yaml").write_text("model: qwen3-235b\nnode: h200-sxm-8x\ngateway: {routing: vllm-router}\n")
    assert run("render").code == 0
    assert "use_backend router if" in Path("bundle/gateway/haproxy.cfg").read_text()
    variables = yaml.safe_load(Path("bundle/ansible/vars.yaml").read_text())
    assert variables["gateway_router"]["requirement"].startswith("vllm-router==")
    assert {8406, 8407} <= {one["port"] for one in variables["preflight_ports"]}


def test_a_router_cannot_come_from_a_bundle():
    routed = Intent(model="m", node="n", engine="e", gateway=GatewayIntent(routing="vllm-router"))
    refuse_a_router_without_a_network(routed, None)
    with pytest.raises(UsageError, match="no wheels of vllm-router"):
        refuse_a_router_without_a_network(routed, Path("bundle"))


def test_the_dry_run_for_an_inventory_shows_what_those_hosts_get(run):
    Path("inventory.yml").write_text("nodes: {hosts: {a: {ansible_host: 192.0.2.1}, b: {ansible_host: 'fd00::2'}}}\n")
    ran = run("up", "--dry-run", "-i", "inventory.yml", "--json")
    assert ran.code == 0, ran.err
    text = json.dumps(json.loads(ran.out)["result"])
    assert "gateway : Install HAProxy" in text
    assert "monitoring : Install Prometheus" in text


def test_an_address_with_a_port_is_refused_where_it_stands(run):
    Path("deploykit.yaml").write_text(HOSTS.replace("192.0.2.1", "192.0.2.1:22"))
    ran = run("config")
    assert ran.code == 3
    assert "deploykit.yaml:" in ran.err
