"""Ansible itself reads every playbook, for both kinds of host; nothing is connected to."""

import sys

import pytest
import yaml

from deploykit.effects.ansible import AnsibleRunner

VARIABLES = {
    "deploykit_bundle": "/nowhere", "deploykit_release": "0" * 64, "deploykit_root": "/opt/deploykit",
    "deploykit_profiles": "/nowhere",
    "weights_repo": "acme/model", "weights_size_gb": 1,
}  # fmt: skip
REHEARSAL = {
    "deploykit_supervision": "supervisord", "weights_kind": "stand-in", "gateway_enabled": False, "monitoring_enabled": False,
}  # fmt: skip
NODE = {"deploykit_supervision": "systemd", "weights_kind": "hub", "gateway_enabled": True, "monitoring_enabled": True}
ROLES = ["preflight", "runtime", "weights", "engine", "gateway", "monitoring", "verify"]


@pytest.fixture
def inventory(tmp_path):
    path = tmp_path / "inventory.yml"
    hosts = {name: {"ansible_host": "192.0.2.1", "ansible_python_interpreter": sys.executable} for name in ("a", "b")}
    path.write_text(yaml.safe_dump({"nodes": {"hosts": hosts}}))
    return path


@pytest.mark.parametrize("kind", [REHEARSAL, NODE], ids=["rehearsal", "node"])
@pytest.mark.parametrize("playbook", ["site.yml", "status.yml", "logs.yml", "teardown.yml"])
def test_every_playbook_is_read(playbooks, inventory, playbook, kind):
    found = AnsibleRunner(playbooks).list_tasks(playbook, inventory=inventory, variables=VARIABLES | kind)
    assert set(found) == {"a", "b"}
    if playbook == "site.yml":
        roles = [task.split(" : ")[0] for task in found["a"]]
        assert list(dict.fromkeys(roles)) == ROLES


def test_the_dry_run_names_what_this_kind_of_host_gets(playbooks, inventory):
    runner = AnsibleRunner(playbooks)
    node = runner.list_tasks("site.yml", inventory=inventory, variables=VARIABLES | NODE)["a"]
    rehearsal = runner.list_tasks("site.yml", inventory=inventory, variables=VARIABLES | REHEARSAL)["a"]
    assert "gateway : Install Caddy" in node
    assert "monitoring : Install the node exporter" in node
    assert "engine : Start the engine under systemd" in node
    assert "engine : Start the engine under supervisord" in rehearsal
    assert not any("Caddy" in task for task in rehearsal)
