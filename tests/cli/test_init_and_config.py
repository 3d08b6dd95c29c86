import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from deploykit import paths


@pytest.mark.parametrize(("model", "node"), [("nemotron-3-super", "h100-sxm-8x"), ("deepseek-v4-flash", "local")])
def test_init_writes_a_file_that_plans_the_same(run, model, node):
    assert run("init", model, "--node", node).code == 0
    text = Path("deploykit.yaml").read_text()
    schema = json.loads((paths.shipped("profiles") / "schemas" / "intent.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(text), schema)
    from_file = json.loads(run("plan", "--json").out)["result"]
    from_line = json.loads(run("plan", model, "--node", node, "--json").out)["result"]
    assert from_file == from_line


def test_the_commented_keys_of_the_file_are_true(run):
    """Uncommenting every suggestion must still give a valid file: comments rot otherwise."""
    run("init", "nemotron-3-super", "--node", "h100-sxm-8x")
    lines = Path("deploykit.yaml").read_text().replace("hosts: []\n", "hosts:\n").splitlines()
    keys = ("slo:", "checkpoint:", "settings:", "  max-num-seqs", "runtime:", "container:", "  image:", "gateway:", "  port:", "  domain:", "  tls:", "  keys:", "    - {name", "patience:", "  no_progress", "  completion_s", "monitoring:", "  alertmanagers:",
            "  grafana_url:", "cost:", "  usd_per", "  rates", "  offers",
            "  - name:", "    address:", "    user:")  # fmt: skip
    real = [
        line[1:].removeprefix(" ") if line.startswith("# ") else line[1:] if line.startswith("#  ") else line
        for line in lines
    ]
    kept = [
        new
        for old, new in zip(lines, real, strict=True)
        if not old.startswith("#") or new.startswith(keys) or old[1:].startswith(keys)
    ]
    Path("deploykit.yaml").write_text("\n".join(kept) + "\n")
    ran = run("plan", "--json")
    assert ran.code == 0, ran.out
    assert json.loads(run("config", "--json").out)["result"]["intent"]["hosts"][0]["name"] == "gpu1"


def test_init_does_not_replace_a_file(run):
    Path("deploykit.yaml").write_text("model: qwen3-235b\n")
    assert run("init", "gpt-oss-120b", "--node", "h100-sxm-8x").code == 2
    assert Path("deploykit.yaml").read_text() == "model: qwen3-235b\n"
    assert run("init", "gpt-oss-120b", "--node", "h100-sxm-8x", "--force").code == 0


def test_config_says_where_each_value_came_from(run, monkeypatch):
    Path("deploykit.yaml").write_text("model: qwen3-235b\nnode: h200-sxm-8x\nsettings:\n  max-num-seqs: 9\n")
    monkeypatch.setenv("DEPLOYKIT_NODE", "b200-sxm-8x")
    ran = run("config", "--explain", "node")
    assert ran.out.splitlines() == [
        "node = b200-sxm-8x, from environment",
        "  replaces h200-sxm-8x, from deploykit.yaml",
        "  replaces local, from profiles/defaults.yaml",
    ]
    assert "settings.max-num-seqs = 9, from deploykit.yaml" in run("config", "--explain", "settings.max-num-seqs").out
    whole = run("config")
    assert "Merge order" in whole.out
    assert run("config", "--explain", "nodde").code == 2


def test_the_file_beats_the_defaults_and_the_line_beats_the_file(run):
    Path("deploykit.yaml").write_text("model: qwen3-235b\nnode: h200-sxm-8x\n")
    assert json.loads(run("plan", "--json").out)["result"]["model"] == "qwen3-235b"
    assert json.loads(run("plan", "gpt-oss-120b", "--json").out)["result"]["model"] == "gpt-oss-120b"


def test_secrets_are_never_printed(run, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "sk-very-secret")
    monkeypatch.setenv("HF_TOKEN", "hf-very-secret")
    for args in (
        ("config",),
        ("config", "--json"),
        ("plan", "--json"),
        ("up", "--dry-run"),
        ("up", "--dry-run", "--json"),
    ):
        ran = run(*args)
        assert "very-secret" not in ran.out + ran.err, args


def test_the_ports_variable_is_the_engines_first_port_wherever_it_runs(run, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_PORT", "8101")
    assert run("render", "qwen3-235b", "--node", "h200-sxm-8x").code == 0
    texts = [Path(f"bundle/engine/engine-{i}/serve.yaml").read_text() for i in (0, 1)]
    assert ["port: 8101\n" in texts[0], "port: 8102\n" in texts[1]] == [True, True]
    assert " 127.0.0.1:8101\n" in Path("bundle/gateway/haproxy.cfg").read_text()
    rehearsal = json.loads(run("plan", "--json").out)["result"]
    assert [s["value"] for s in rehearsal["settings"] if s["setting"] == "port"] == [8101]
    assert run("config", "--explain", "port").out.splitlines()[0] == "port = 8101, from environment"


def uncommented(text: str) -> str:
    """Return the file with its example hosts in place."""
    lines = text.replace("hosts: []\n", "hosts:\n").splitlines()
    return "\n".join(
        line[1:] if line.startswith(("#  - name:", "#    address:", "#    user:")) else line for line in lines
    )


def test_init_for_several_nodes_has_as_many_hosts(run):
    ran = run("init", "deepseek-v4-pro", "--node", "h100-sxm-8x", "--nodes", "2")
    assert ran.code == 0, ran.err
    assert json.loads(run("plan", "--json").out)["result"]["nodes"] == 2
    text = Path("deploykit.yaml").read_text()
    assert "# interface: eth0" in text
    Path("deploykit.yaml").write_text(uncommented(text))
    hosts = json.loads(run("config", "--json").out)["result"]["intent"]["hosts"]
    assert [host["name"] for host in hosts] == ["gpu1", "gpu2"]
    assert len({host["address"] for host in hosts}) == 2


@pytest.mark.parametrize(("node", "count"), [("h200-sxm-8x", 2), ("local", 2), ("h200-sxm-8x", 1)])
def test_init_writes_an_inventory_that_up_takes(run, node, count):
    given = ("--nodes", str(count)) if count > 1 else ()
    ran = run("init", "qwen3-235b", "--node", node, *given, "-i", "hosts.yml")
    assert ran.code == 0, ran.err
    assert "each with `-i hosts.yml`" in ran.err
    assert "hosts:" not in Path("deploykit.yaml").read_text()
    found = json.loads(run("up", "--dry-run", "-i", "hosts.yml", "--json").out)["result"]
    assert found["plan"]["nodes"] == count
    assert len(found["tasks"]) == count


def test_init_replaces_no_inventory_and_writes_nothing_beside_it(run):
    Path("hosts.yml").write_text("mine")
    ran = run("init", "qwen3-235b", "--node", "h200-sxm-8x", "-i", "hosts.yml")
    assert (ran.code, "hosts.yml is there already" in ran.err) == (2, True)
    assert not Path("deploykit.yaml").exists()
    assert Path("hosts.yml").read_text() == "mine"


def test_init_of_a_rehearsal_at_home_has_one_machine(run):
    ran = run("init", "qwen3-235b", "--node", "local", "--nodes", "2")
    assert (ran.code, "on this machine alone" in ran.err) == (2, True)
    assert run("init", "qwen3-235b", "--node", "h200-sxm-8x", "--nodes", "0").code == 2
