"""From one bundle to a served model, on a host that reaches no network: the real wheels, the real uv, the real engine.

About four minutes on two cores, with a package index nearby or pip's cache filled.
"""

import json
import re

import pytest

pytestmark = pytest.mark.hosts

MODEL = "deepseek-v4-flash"


@pytest.fixture(scope="module")
def operator(make_operator, tmp_path_factory):
    return make_operator(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def bundle(operator):
    """A bundle of a rehearsal; its wheels come from where this machine's pip finds them."""
    made = operator.json("bundle", MODEL, "--out", "bundle.tar")
    assert made["wheels"] > 100
    return operator.work / "bundle.tar"


@pytest.fixture(scope="module")
def host(lab):
    """A host with room for an engine."""
    return lab.add(1, disk_mb=None)[0]


@pytest.fixture(scope="module")
def inventory(lab, host, tmp_path_factory):
    return str(lab.inventory(tmp_path_factory.mktemp("inventory") / "inventory.yml", [host]))


def test_a_host_without_any_network_serves_from_a_bundle(operator, bundle, host, inventory):
    assert host.ssh("getent", "hosts", "pypi.org", check=False).returncode != 0
    served = operator.json("up", "--from", str(bundle), "-i", inventory, "--no-measure", MODEL)
    assert served["changed"]
    log = host.root("cat", "/opt/deploykit/logs/install.log")
    assert "--require-hashes" in log
    assert not re.search("https?://", log)
    assert "wheels" not in host.root("ls", "/opt/deploykit").split(), "they are installed: once is enough"


def test_nothing_is_left_to_do_the_second_time(operator, bundle, host, inventory):
    again = operator.json("up", "--from", str(bundle), "-i", inventory, "--no-measure", MODEL)
    assert not again["changed"]
    assert [json.loads(line)["event"] for line in host.root("cat", "/opt/deploykit/audit.log").splitlines()][-1] == "up"


def test_down_stops_and_keeps_what_took_long_to_get(operator, host, inventory):
    assert operator.json("down")["changed"]
    state = host.root("systemctl", "show", "deploykit-engine-0.service", "--property=ActiveState")
    assert state == "ActiveState=inactive\n"
    assert {"engines", "models", "releases"} <= set(host.root("ls", "/opt/deploykit").split())


def test_purge_leaves_the_weights_if_asked_and_else_nothing(operator, host, inventory):
    model = host.root("ls", "/opt/deploykit/models")
    assert operator.json("down", "--purge", "--keep-weights", "-i", inventory)["changed"]
    assert host.root("ls", "/opt/deploykit") == "models\n"
    assert host.root("ls", "/opt/deploykit/models") == model
    assert operator.json("down", "--purge", "-i", inventory)["changed"]
    assert host.root("ls", "-A", "/opt/deploykit") == ""
    left = (
        "find /etc/systemd /var/cache /var/lib -name '*deploykit*'; systemctl --no-legend list-units --all 'deploykit*'"
    )
    assert host.root("sh", "-c", left) == ""
    assert not operator.json("down", "--purge", "-i", inventory)["changed"]
