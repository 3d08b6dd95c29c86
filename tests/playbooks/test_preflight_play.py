"""The preflight role by real Ansible on this machine: all hosts in one pass, one failure, and check mode."""

import sys
from pathlib import Path

import pytest
import yaml

from deploykit.deploying.examine import examination
from deploykit.deploying.outcome import failure_error
from deploykit.effects.ansible import AnsibleRunner

RENDERED = Path(__file__).resolve().parents[1] / "rendering/golden/one-node-tp8/ansible/vars.yaml"


@pytest.fixture
def play(playbooks, tmp_path):
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"here": local, "away": {"ansible_host": "127.0.0.1", "ansible_port": 1}}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"nodes": {"hosts": hosts}}))
    variables = yaml.safe_load(RENDERED.read_text()) | {
        "deploykit_bundle": str(tmp_path), "deploykit_release": "0" * 64, "deploykit_root": str(tmp_path / "root"),
        "deploykit_profiles": str(playbooks.parent / "profiles"), "deploykit_supervision": "supervisord",
    }  # fmt: skip

    def run(playbook, *, check=False):
        return AnsibleRunner(playbooks).run(
            playbook, inventory=inventory, variables=variables, secrets={}, log_dir=tmp_path / "logs",
            on_event=lambda _event: None, check=check,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
def test_every_host_is_looked_at_although_one_is_away(play, check):
    result = play("preflight.yml", check=check)
    found = {host.host: host for host in examination(result, keys=("preflight",), hosts=("here", "away")).hosts}
    assert found["away"].findings[0].check == "ssh"
    assert "127.0.0.1:1" in found["away"].findings[0].evidence
    checks = {finding.check for finding in found["here"].findings}
    assert {"system", "python", "disk", "ram", "limits", "gpu"} <= checks
    assert not any(host.changed for host in result.hosts)


def test_up_stops_once_at_what_must_be_mended_on_any_host(play, tmp_path):
    result = play("site.yml")
    error = failure_error(result)
    assert error is not None
    assert error.exit_code == 6
    assert "must be mended first, on 2 of 2 hosts: " in error.what
    assert "here  blocker" in error.detail
    assert "away  blocker  ssh" in error.detail
    assert {failure.role for failure in result.failures} == {"preflight"}
    assert not (tmp_path / "root").exists()
