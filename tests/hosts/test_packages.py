"""Packages of the distribution on a host without a network, and on a fresh one that has never fetched a package list."""

import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from deploykit.effects.ansible import AnsibleRunner

pytestmark = pytest.mark.hosts

ROOT = Path(__file__).resolve().parents[2]
NAME = "deploykit-test-package"


@pytest.fixture
def host(hosts):
    return hosts(1)[0]


@pytest.fixture
def install(lab, host, tmp_path):
    """Have packages on the host by the module that the roles use; or look, as preflight does, whether they can be had."""
    playbooks = tmp_path / "playbooks"
    shutil.copytree(ROOT / "playbooks", playbooks)
    inventory = lab.inventory(tmp_path / "inventory.yml", [host])

    def run(*names, check=False, look=False, stopped=()):
        task = {"name": "Have packages", "deploykit_packages": {"names": list(names), "stopped": list(stopped)}}
        if look:
            arguments = {"runtime": "cpu", "root": "/opt/deploykit", "packages": list(names)}
            task = {"name": "Look", "deploykit_preflight": arguments}
        play = {"name": "Have packages", "hosts": "nodes", "gather_facts": False, "become": True, "tasks": [task]}
        (playbooks / "packages.yml").write_text(yaml.safe_dump([play]))
        return AnsibleRunner(playbooks).run(
            "packages.yml", inventory=inventory, variables={}, secrets={}, log_dir=tmp_path / "log",
            on_event=lambda _event: None, check=check,
        )  # fmt: skip

    return run


def about_packages(result):
    """Return preflight's word."""
    ((_, told),) = result.facts.items()
    (found,) = [finding for finding in told["preflight"] if finding["check"] == "packages"]
    return found["severity"], found["evidence"]


@pytest.fixture
def repository(lab, host, tmp_path):
    """A source of one package on this machine, which the host knows and has never asked."""
    folder, content = tmp_path / "repository", tmp_path / "content"
    (content / "DEBIAN").mkdir(parents=True)
    folder.mkdir()
    control = (
        f"Package: {NAME}\nVersion: 1\nArchitecture: all\nMaintainer: tests <tests@localhost>\nDescription: nothing\n"
    )
    (content / "DEBIAN/control").write_text(control)
    made = folder / f"{NAME}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", content, made], check=True, capture_output=True)
    digest = subprocess.run(["sha256sum", made], check=True, capture_output=True, text=True).stdout.split()[0]
    facts = f"Filename: ./{made.name}\nSize: {made.stat().st_size}\nSHA256: {digest}\n"
    (folder / "Packages").write_text(control + facts)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    source = "/etc/apt/sources.list.d/tests.list"
    with ThreadingHTTPServer((f"{lab.net}.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        line = f"deb [trusted=yes] http://{lab.net}.1:{server.server_port}/ ./"
        host.root("sh", "-c", f"rm -rf /var/lib/apt/lists/*; echo '{line}' > {source}")
        yield server
        server.shutdown()
    host.root("sh", "-c", f"rm -rf {source} /var/lib/apt/lists/*; dpkg --purge {NAME} 2>/dev/null || true")


def test_what_is_installed_needs_no_network(install):
    done = install("libnuma1", "openssh-server")
    assert done.status == "successful", done.failures
    assert not done.hosts[0].changed
    assert about_packages(install("libnuma1", look=True)) == ("info", "libnuma1 installed")


@pytest.mark.parametrize("source", [None, "deb http://archive.invalid/debian bookworm main"])
def test_what_is_missing_on_an_offline_host_is_named_with_the_way_out(install, host, source):
    path = "/etc/apt/sources.list.d/nowhere.list"
    if source:
        host.root("sh", "-c", f"echo '{source}' > {path}")
    try:
        done = install("libnuma1", "chrony")
        looked = about_packages(install("libnuma1", "chrony", look=True))
    finally:
        host.root("rm", "-f", path)
    (failure,) = done.failures
    assert failure.host == host.name
    why = "its package sources do not answer" if source else "none of its package sources has it"
    assert failure.message.startswith(f"`chrony` is not installed, and cannot be: {why}. Install it there")
    before = "its package sources (archive.invalid) do not answer" if source else "it has no package source"
    assert looked == ("blocker", f"chrony not installed, and {before}")


def test_a_fresh_host_fetches_its_package_lists_first(install, host, repository):
    assert about_packages(install(NAME, look=True))[0] == "info", "it could be had"
    assert install(NAME, check=True).hosts[0].changed
    done = install(NAME)
    assert done.status == "successful", done.failures
    assert "install ok installed" in host.root("dpkg-query", "--show", "--showformat=${Status}", NAME)
    repository.shutdown()
    assert not install(NAME).hosts[0].changed


def test_a_service_whose_place_ours_takes_is_stopped_for_good(install, host):
    host.root("systemctl", "enable", "--now", "prometheus-node-exporter.service")
    services = ("prometheus-node-exporter.service", "nosuch.service")
    assert install("sudo", stopped=services, check=True).hosts[0].changed
    assert host.root("systemctl", "is-active", services[0]).strip() == "active"
    assert install("sudo", stopped=services).hosts[0].changed
    assert host.root("systemctl", "is-active", services[0], check=False).strip() == "inactive"
    assert host.root("systemctl", "is-enabled", services[0], check=False).strip() == "disabled"
    assert not install("sudo", stopped=services).hosts[0].changed
