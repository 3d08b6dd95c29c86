"""The units of real nodes, rendered by Ansible from a bundle's own variables."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import yaml

from deploykit.effects.ansible import AnsibleRunner

GOLDEN = Path(__file__).resolve().parents[1] / "rendering/golden/two-replicas"
UNITS = {
    "engine": "roles/engine/templates/engine.service.j2",
    "gateway": "roles/gateway/templates/gateway.service.j2",
    "router": "roles/gateway/templates/router.service.j2",
    "monitoring": "roles/monitoring/templates/monitoring.service.j2",
    "node-exporter": "roles/monitoring/templates/node-exporter.service.j2",
    "gpu-exporter": "roles/monitoring/templates/gpu-exporter.service.j2",
    "probe": "roles/monitoring/templates/probe.service.j2",
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
        "runtime_lock": None, "_gateway_router_environment": "/opt/deploykit/engines/router-abc",
        "gateway_router_arguments": ["--host", "127.0.0.1", "--worker-urls", "http://127.0.0.1:8001"],
    }  # fmt: skip
    variables["__engine_instance"] = variables["engine_instances"][0]
    result = AnsibleRunner(playbooks).run(
        str(folder / "play.yml"), inventory=folder / "inventory.yml", variables=variables,
        secrets={"VLLM_API_KEY": "planted"}, log_dir=folder, on_event=lambda _: None,
    )  # fmt: skip
    assert result.status == "successful", result.failures
    return folder


MONITORING = ["monitoring", "node-exporter", "gpu-exporter", "probe"]


@pytest.mark.parametrize("name", ["engine", "gateway", "router", *MONITORING])
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


def test_the_router_s_unit_has_its_engines_and_no_key(rendered):
    text = (rendered / "router").read_text()
    wanted = "/opt/deploykit/engines/router-abc/bin/vllm-router --host 127.0.0.1 --worker-urls http://127.0.0.1:8001"
    assert f"ExecStart={wanted}\n" in text
    assert "EnvironmentFile" not in text


def test_the_first_node_s_exporters_are_read_on_loopback_alone(rendered):
    for name, port in (("node-exporter", 9100), ("gpu-exporter", 9400), ("probe", 9115), ("monitoring", 9090)):
        assert f"127.0.0.1:{port}" in (rendered / name).read_text()
        assert "IPAddressAllow" not in (rendered / name).read_text()


@pytest.fixture(scope="module")
def second_node(playbooks, rendered):
    """The node exporter's unit as the second of two nodes gets it."""
    text = (playbooks / UNITS["node-exporter"]).read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - no HTML
    values = {"ansible_managed": "", "deploykit_release": "a" * 64, "deploykit_node_index": 1, "deploykit_root": "/o"}
    return lambda reader: environment.from_string(text).render(values, monitoring_reader=reader)


def test_another_node_s_exporter_is_read_by_the_first_node_alone(second_node):
    assert "--web.listen-address=:9100" in second_node("10.0.0.1")
    assert "IPAddressDeny=any\nIPAddressAllow=localhost 10.0.0.1\n" in second_node("10.0.0.1")
    assert "IPAddressDeny" not in second_node(None), "a host's name cannot be filtered by"


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
@pytest.mark.parametrize("name", ["gateway", "engine", "router", *MONITORING])
def test_systemd_knows_every_directive(rendered, name, tmp_path):
    unit = tmp_path / f"deploykit-{name}.service"
    unit.write_text((rendered / name).read_text())
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "Unknown" not in done.stderr
    assert "Failed to parse" not in done.stderr
