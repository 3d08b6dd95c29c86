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
    "deploykit_supervision": "supervisord", "runtime_form": "environment", "weights_kind": "stand-in", "gateway_enabled": False, "monitoring_enabled": False,
}  # fmt: skip
NODE = {
    "deploykit_supervision": "systemd",
    "runtime_form": "environment",
    "weights_kind": "hub",
    "gateway_enabled": True,
    "monitoring_enabled": True,
}
CONTAINER = NODE | {"runtime_form": "container"}
ROLES = ["release", "preflight", "runtime", "weights", "engine", "gateway", "monitoring", "verify"]


@pytest.fixture
def inventory(tmp_path):
    path = tmp_path / "inventory.yml"
    hosts = {name: {"ansible_host": "192.0.2.1", "ansible_python_interpreter": sys.executable} for name in ("a", "b")}
    path.write_text(yaml.safe_dump({"nodes": {"hosts": hosts}}))
    return path


@pytest.mark.parametrize("kind", [REHEARSAL, NODE, CONTAINER], ids=["rehearsal", "node", "container"])
@pytest.mark.parametrize(
    "playbook", ["site.yml", "preflight.yml", "doctor.yml", "status.yml", "logs.yml", "counters.yml", "teardown.yml"]
)
def test_every_playbook_is_read(playbooks, inventory, playbook, kind):
    found = AnsibleRunner(playbooks).list_tasks(playbook, inventory=inventory, variables=VARIABLES | kind)
    assert set(found) == {"a", "b"}
    if playbook == "site.yml":
        roles = [task.split(" : ")[0] for task in found["a"] if " : " in task]
        assert list(dict.fromkeys(roles)) == ROLES


def test_the_dry_run_names_what_this_kind_of_host_gets(playbooks, inventory):
    runner = AnsibleRunner(playbooks)
    node = runner.list_tasks("site.yml", inventory=inventory, variables=VARIABLES | NODE)["a"]
    rehearsal = runner.list_tasks("site.yml", inventory=inventory, variables=VARIABLES | REHEARSAL)["a"]
    assert "monitoring : Install Prometheus and the exporters" in node
    assert "gateway : Install HAProxy" in node
    assert "engine : Start the engine under systemd" in node
    assert "engine : Start the engine under supervisord" in rehearsal
    assert not any("HAProxy" in task for task in rehearsal)


def test_what_the_variables_rule_out_is_not_ahead(playbooks, inventory):
    runner = AnsibleRunner(playbooks)

    def ahead(**more):
        return runner.tasks_ahead("site.yml", inventory=inventory, variables=VARIABLES | NODE | more)

    plain = ahead()
    every = runner.list_tasks("site.yml", inventory=inventory, variables=VARIABLES | NODE)
    assert plain.keys() == every.keys()
    assert all({task.name for task in plain[host]} < set(every[host]) for host in every)
    names = {host: [task.name for task in tasks] for host, tasks in plain.items()}
    assert "engine : Start the engine under systemd" in names["a"]
    for ruled_out in ("Send the wheels", "Bring up the router", "Give the gateway a certificate", "the mirror's f"):
        assert any(ruled_out in task for task in every["a"]), ruled_out
        assert not any(ruled_out in task for task in names["a"]), ruled_out
    assert "gateway : Give the gateway a certificate" in [t.name for t in ahead(gateway_tls="internal")["a"]]


def test_what_only_the_host_tells_is_marked(playbooks, inventory):
    tasks = AnsibleRunner(playbooks).tasks_ahead("site.yml", inventory=inventory, variables=VARIABLES | NODE)["a"]
    sure = {task.name: task.sure for task in tasks}
    assert sure["weights : Compare the weights with what is locked"]
    assert not sure["weights : Make a key"]
    assert not sure["Go on to the completion if nothing has to be done"]
