"""The hosts are what they claim to be: what other tests break here is really broken."""

import pytest

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def machine(hosts):
    return hosts(1)[0]


def test_a_host_is_a_system_of_its_own(machine):
    assert machine.root("systemctl", "is-system-running", check=False).strip() == "running"
    assert machine.ssh("sudo", "-n", "id", "-u").stdout.strip() == "0"
    assert machine.ssh("uname", "-n").stdout.strip() == machine.name


def test_a_reboot_and_a_power_cut_keep_the_disks(machine):
    machine.root("touch", "/opt/deploykit/kept", "/var/kept")
    machine.reboot()
    machine.kill()
    machine.boot()
    machine.wait()
    assert machine.ssh("ls", "/opt/deploykit/kept", "/var/kept").returncode == 0
    machine.root("rm", "/opt/deploykit/kept", "/var/kept")


@pytest.mark.parametrize("fault", ["cut_off", "unplugged", "powered_off", "without_sshd"])
def test_a_host_that_is_out_of_reach_comes_back(machine, fault):
    with getattr(machine, fault)():
        assert machine.ssh("true", check=False).returncode == 255
    assert machine.ssh("true").returncode == 0


def test_a_full_disk_and_a_missing_sudo_are_real(machine):
    with machine.full_disk(), pytest.raises(RuntimeError, match="No space left"):
        machine.root("cp", "/etc/passwd", "/opt/deploykit/x")
    with machine.without_sudo():
        assert machine.ssh("sudo", "-n", "true", check=False).returncode != 0
    assert machine.ssh("sudo", "-n", "true").returncode == 0
