import json
from pathlib import Path

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
