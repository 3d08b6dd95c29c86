"""The units of real nodes, rendered by Ansible from a bundle's own variables."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploykit.effects.ansible import AnsibleRunner

GOLDEN = Path(__file__).resolve().parents[1] / "rendering/golden/two-replicas"
UNITS = {
    "engine": "roles/engine/templates/engine.service.j2",
    "gateway": "roles/gateway/templates/gateway.service.j2",
    "monitoring": "roles/monitoring/templates/monitoring.service.j2",
    "supervisord": "roles/engine/templates/supervisord.conf.j2",
}


@pytest.fixture(scope="module")
def rendered(playbooks, tmp_path_factory):
    """Every template, rendered with a bundle's variables for its first node."""
    folder = tmp_path_factory.mktemp("units")
    (folder / "group_vars").symlink_to(playbooks / "group_vars")
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "inventory.yml").write_text(yaml.safe_dump({"nodes": {"hosts": {"node1": local}}}))
    tasks = [
        {
            "name": name,
            "ansible.builtin.template": {"src": str(playbooks / path), "dest": f"{folder}/{name}", "mode": "0644"},
        }
        for name, path in UNITS.items()
    ]
    play = {"name": "Render", "hosts": "nodes", "gather_facts": False, "tasks": tasks}
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    variables = yaml.safe_load((GOLDEN / "ansible/vars.yaml").read_text()) | {
        "deploykit_root": "/opt/deploykit", "deploykit_release": "a" * 64, "deploykit_bundle": str(GOLDEN),
        "deploykit_profiles": "/nowhere", "deploykit_supervision": "systemd", "runtime_environment": {"A": 'b"c % d'},
        "runtime_lock": None,
    }  # fmt: skip
    variables["__engine_instance"] = variables["engine_instances"][0]
    result = AnsibleRunner(playbooks).run(
        str(folder / "play.yml"), inventory=folder / "inventory.yml", variables=variables,
        secrets={"VLLM_API_KEY": "planted"}, log_dir=folder, on_event=lambda _: None,
    )  # fmt: skip
    assert result.status == "successful", result.failures
    return folder


@pytest.mark.parametrize("name", ["engine", "gateway", "monitoring"])
def test_a_unit_is_complete_and_holds_no_secret(rendered, name):
    text = (rendered / name).read_text()
    assert "planted" not in text
    assert "{{" not in text
    for section in ("[Unit]", "[Service]", "[Install]"):
        assert section in text
    # The gateway reads its files again at every reload, as a user that is there before.
    assert ("User=haproxy" if name == "gateway" else "DynamicUser=yes") in text
    assert "ProtectSystem=strict" in text
    # systemd ignores these two outside of [Unit]
    assert "StartLimit" not in text.partition("[Service]")[2]


def test_the_engine_s_unit_keeps_the_gpus_in_sight(rendered):
    text = (rendered / "engine").read_text()
    assert "\nPrivateDevices" not in text
    assert "\nMemoryDenyWriteExecute" not in text
    assert "DeviceAllow=char-nvidia rw" in text
    assert "LimitMEMLOCK=infinity" in text
    assert "EnvironmentFile=-/opt/deploykit/secrets/engine.env" in text
    assert "WorkingDirectory=/opt/deploykit/releases/aaaaaaaaaaaa\n" in text
    assert r'Environment="A=b\"c %% d"' in text


def test_supervisord_s_configuration_is_read_as_written(rendered):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(rendered / "supervisord")
    assert "planted" not in (rendered / "supervisord").read_text()
    programs = [name for name in parser.sections() if name.startswith("program:")]
    assert programs == ["program:engine-0", "program:engine-1"]
    command = parser["program:engine-0"]["command"]
    assert command.startswith("/bin/sh -c 'set -a")
    assert "A='\"'\"'b\"c %% d'\"'\"'" in command
    assert " ;" not in command  # supervisord would read a comment there


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
@pytest.mark.parametrize("name", ["gateway", "monitoring", "engine"])
def test_systemd_knows_every_directive(rendered, name, tmp_path):
    unit = tmp_path / f"deploykit-{name}.service"
    unit.write_text((rendered / name).read_text())
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "Unknown" not in done.stderr
    assert "Failed to parse" not in done.stderr
