"""Secrets on the command line: where they come from is told, what they are is not, and nobody runs a command for nothing."""

import json
from pathlib import Path

import pytest

INTENT = """\
model: qwen3-235b
node: h200-sxm-8x
hosts:
  - {name: gpu1, address: 192.0.2.1}
gateway:
  keys:
    - {name: team-a, file: keys/team-a}
    - {name: team-b, env: TEAM_B}
    - {name: team-c, command: vault kv get -field=key llm/team-c}
"""


@pytest.fixture
def vault(tmp_path, monkeypatch):
    """A program that notes each of its runs, and prints a secret."""
    program = tmp_path / "vault"
    program.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\necho sk-of-the-vault\n")
    program.chmod(0o755)
    for name in ("API_KEY", "HF_TOKEN", "GRAFANA_TOKEN"):
        monkeypatch.setenv(f"DEPLOYKIT_{name}_COMMAND", f"{program} read op://llm/{name}")
    return tmp_path / "runs"


def test_config_says_where_each_secret_comes_from(run, vault, monkeypatch):
    monkeypatch.setenv("TEAM_B", "sk-of-team-b")
    Path("deploykit.yaml").write_text(INTENT)
    assert json.loads(run("config", "--json").out)["result"]["secrets"] == {
        "DEPLOYKIT_API_KEY": "the command `vault` (DEPLOYKIT_API_KEY_COMMAND)",
        "DEPLOYKIT_HF_TOKEN": "the command `vault` (DEPLOYKIT_HF_TOKEN_COMMAND)",
        "DEPLOYKIT_GRAFANA_TOKEN": "the command `vault` (DEPLOYKIT_GRAFANA_TOKEN_COMMAND)",
        "keys of the caller `team-a`": "the file keys/team-a",
        "keys of the caller `team-b`": "the variable TEAM_B",
        "keys of the caller `team-c`": "the command `vault`",
    }
    shown = run("config").out
    assert "the command `vault` (DEPLOYKIT_API_KEY_COMMAND)" in " ".join(shown.split())
    assert "op://" not in shown
    assert not vault.exists()


def test_who_needs_no_secret_runs_no_command(run, vault):
    Path("deploykit.yaml").write_text(INTENT)
    for args in (("plan",), ("plan", "--json"), ("render", "--out", "made"), ("up", "--dry-run"), ("config",)):
        assert run(*args).code == 0, args
    assert not vault.exists()
    assert "status 401" in Path("made/gateway/haproxy.cfg").read_text()


def test_a_key_that_is_given_twice_is_one_error(run, vault, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "sk-of-the-variable")
    Path("deploykit.yaml").write_text(INTENT)
    for args in (("config",), ("up", "--dry-run")):
        ran = run(*args)
        assert ran.code == 2
        assert "DEPLOYKIT_API_KEY and DEPLOYKIT_API_KEY_COMMAND are set" in ran.err
        assert "sk-of" not in ran.out + ran.err


def test_a_command_that_fails_ends_up_before_anything_is_touched(run, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY_COMMAND", "sh -c 'echo sk-half-a-key; exit 4'")
    ran = run("up")
    assert ran.code == 2
    assert "`sh`, which DEPLOYKIT_API_KEY_COMMAND names, failed with exit code 4" in ran.err
    assert "sk-half" not in ran.out + ran.err
    assert not Path("runs").exists()
