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
    keys = ("slo:", "checkpoint:", "settings:", "  max-num-seqs", "gateway:", "  port:", "  domain:", "monitoring:", "  alertmanagers:",
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
    assert '"dial": "127.0.0.1:8101"' in Path("bundle/gateway/caddy.json").read_text()
    rehearsal = json.loads(run("plan", "--json").out)["result"]
    assert [s["value"] for s in rehearsal["settings"] if s["setting"] == "port"] == [8101]
    assert run("config", "--explain", "port").out.splitlines()[0] == "port = 8101, from environment"
