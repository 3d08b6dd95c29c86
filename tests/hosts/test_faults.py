"""What goes wrong before anything is served ends in one clear message: which host, which role and task, what to do."""

import subprocess

import pytest

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def host(hosts):
    return hosts(1)[0]


@pytest.fixture(scope="module")
def operator(make_operator, tmp_path_factory):
    return make_operator(tmp_path_factory.mktemp("operator"))


def refused(operator, inventory):
    ran = operator.run("up", "-i", str(inventory), "--no-measure")
    assert ran.returncode == 6, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr[ran.stderr.rindex("error: ") :]


@pytest.mark.parametrize("fault", ["cut_off", "without_sshd"])
def test_a_host_that_does_not_answer(operator, lab, host, tmp_path, fault):
    with getattr(host, fault)():
        said = refused(operator, lab.inventory(tmp_path / "inventory.yml", [host]))
    assert f"{host.name} does not answer on {host.address}:22" in said
    assert "firewall" in said


def test_a_wrong_key(operator, lab, host, tmp_path):
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    said = refused(operator, lab.inventory(tmp_path / "inventory.yml", [host], key=key))
    assert f"{host.name} answers on {host.address}:22, but SSH does not get in" in said
    assert "ansible_ssh_private_key_file" in said


def test_a_login_without_sudo(operator, lab, host, tmp_path):
    with host.without_sudo():
        said = refused(operator, lab.inventory(tmp_path / "inventory.yml", [host]))
    assert f"error: {host.name}: release : Take the deploy lock" in said
    assert "/etc/sudoers.d" in said


def test_a_disk_too_small_for_the_engine(operator, lab, host, tmp_path):
    said = refused(operator, lab.inventory(tmp_path / "inventory.yml", [host]))
    assert f"error: {host.name}: preflight : " in said
    assert "GB" in said
    assert host.root("ls", "/opt/deploykit").split() == ["audit.log", "releases"], (
        "the lock is freed, nothing is placed"
    )
