"""What goes wrong before anything is served ends in one clear message: which host, which role and task, what to do."""

import subprocess
import time

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


@pytest.mark.parametrize("fault", ["cut_off", "unplugged", "without_sshd"])
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


def test_a_host_without_python(operator, lab, host, tmp_path):
    with host.without_python():
        said = refused(operator, lab.inventory(tmp_path / "inventory.yml", [host]))
    assert host.name in said
    assert "python3" in said
    assert "apt install python3" in said


def test_a_disk_too_small_for_the_engine(operator, lab, host, tmp_path):
    before = set(host.root("ls", "/opt/deploykit").split())  # other tests may have had it
    said = refused(operator, lab.inventory(tmp_path / "inventory.yml", [host]))
    assert f"error: 1 thing must be mended first, on 1 of 1 hosts: {host.name}" in said
    assert f"{host.name}  blocker  disk: " in said
    assert "8.00 GB for the engine" in said
    placed = set(host.root("ls", "/opt/deploykit").split()) - before
    assert placed <= {"audit.log", "releases"}, "the lock is freed, nothing is placed"


def test_a_port_that_monitoring_needs_is_taken(operator, lab, host, tmp_path):
    # The distribution's own Prometheus is no stranger: `up` takes its place.
    host.root("systemctl", "stop", "prometheus", check=False)
    server = subprocess.Popen(host.into("python3", "-m", "http.server", "--bind", "127.0.0.1", "9090"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while ":9090 " not in host.root("ss", "-Hltn"):  # a busy machine starts it slowly
            assert time.monotonic() < deadline
            time.sleep(0.2)
        said = refused(operator, lab.inventory(tmp_path / "inventory.yml", [host]))
    finally:
        server.kill()
        server.wait()
    assert f"{host.name}  blocker  port 9090: taken by pid " in said
    assert "Prometheus needs it" in said
    assert "`monitoring: {enabled: false}`" in said
