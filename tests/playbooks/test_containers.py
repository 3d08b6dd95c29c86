"""Releases whose engines run in containers, over a folder that stands for a host; systemctl and podman are doubles."""

import json
import stat

import pytest
import yaml

NEW, OLD = "b" * 12, "a" * 12
SYSTEMCTL = """#!/bin/sh
echo "$*" >> {log}
if [ "$1" = show ]; then
    for unit; do :; done
    cat {state}/"$unit" 2>/dev/null || echo ActiveState=inactive
fi
exit 0
"""
PODMAN = """#!/bin/sh
for name; do :; done
cat {state}/"$name".label 2>/dev/null
"""


class RefusedError(Exception):
    """What the module fails with."""


class Module:
    """Ansible's module, as far as the steps use it."""

    check_mode = False

    def __init__(self, **params):
        self.params = {
            "holder": {"token": "t", "user": "ana", "host": "laptop"}, "instead_of": None, "release": NEW * 5,
            "wanted": "w", "restart": False, "event": "up", "keep": 3, "files": False, "only": [],
            "serves": {"instances": [{"name": "engine-0"}]},
        } | params  # fmt: skip

    def run_command(self, command):
        import subprocess

        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def fail_json(self, msg, **_):
        raise RefusedError(msg)


@pytest.fixture
def site(module, tmp_path, monkeypatch):
    """A host without anything of ours."""
    deployment, releases = module("deploykit_deployment"), module("deploykit_releases")
    for name in ("bin", "state", "root", "services"):
        (tmp_path / name).mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("podman", PODMAN)):
        program = tmp_path / "bin" / name
        program.write_text(text.format(log=tmp_path / "log", state=tmp_path / "state"))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(releases, "UNITS", str(tmp_path / "services"))
    monkeypatch.setattr(releases, "CONTAINERS", str(tmp_path / "containers"))
    return Site(deployment, releases, tmp_path)


class Site:
    """A host's folders, and what was asked of systemd."""

    def __init__(self, deployment, releases, folder):
        self.deployment, self.releases, self.folder, self.root = deployment, releases, folder, folder / "root"

    def stage(self, name, **units):
        at = self.root / "releases" / name
        for sub in ("bundle", "units"):
            (at / sub).mkdir(parents=True, exist_ok=True)
        for kind, text in units.items():
            (at / "units" / f"deploykit-engine-0.{kind}").write_text(text)

    def runs(self, label=None, *, active=True):
        state = "active" if active else "inactive"
        (self.folder / "state/deploykit-engine-0.service").write_text(f"ActiveState={state}\nMainPID=1\n")
        if label:
            (self.folder / "state/deploykit-engine-0.label").write_text(f"{label}\n")

    def step(self, state, **params):
        (self.folder / "log").unlink(missing_ok=True)
        host = self.deployment.Host(Module(root=str(self.root), **params))
        return getattr(host, state)()

    def asked(self):
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if not line.startswith("show ")]

    def installed(self):
        return sorted(path.name for at in ("services", "containers") for path in (self.folder / at).glob("*"))

    def serve(self, name, **params):
        """Bring a release to where it has answered."""
        self.step("begin", release=name * 5, **params)
        self.step("switch", release=name * 5, **params)
        self.runs(name)
        self.step("finish", release=name * 5, **params)


def test_a_container_is_installed_where_podman_looks_and_its_service_started(site):
    site.stage(NEW, container="one")
    site.step("begin")
    done = site.step("switch")
    assert site.installed() == ["deploykit-engine-0.container"]
    assert (site.folder / "containers/deploykit-engine-0.container").read_text() == "one"
    assert done["started"] == ["deploykit-engine-0.service"]
    assert site.asked() == [
        "daemon-reload",
        "reset-failed deploykit-engine-0.service",
        "restart --no-block deploykit-engine-0.service",
    ], "what podman's generator makes cannot be enabled"


def test_what_runs_of_this_release_is_left_alone(site):
    site.stage(NEW, container="one")
    site.serve(NEW)
    site.step("begin")
    assert not site.step("switch")["changed"]
    assert site.asked() == []
    site.runs(OLD)
    assert site.step("switch")["started"] == ["deploykit-engine-0.service"], "its label names another release"


def test_an_answer_is_remembered_and_drift_is_seen(site):
    site.stage(NEW, container="one")
    site.serve(NEW)
    unit = site.folder / "containers/deploykit-engine-0.container"
    served = json.loads((site.root / "releases" / NEW / "served.json").read_text())
    assert list(served["observed"]["units"]) == [str(unit)]
    assert site.step("begin", wanted="w")["settled"]
    unit.write_text("by hand")
    site.runs(OLD)
    said = site.releases.drift(str(site.root), NEW)
    assert said == [f"{unit} was changed", f"deploykit-engine-0.service runs release {OLD}"]
    site.runs(active=False)
    assert "deploykit-engine-0.service is inactive" in site.releases.drift(str(site.root), NEW)


def test_from_an_environment_to_a_container_and_back(site):
    site.stage(OLD, service="ExecStart=/x/bin/vllm serve ./model")
    site.serve(OLD)
    assert site.installed() == ["deploykit-engine-0.service"]
    site.stage(NEW, container="one")
    site.step("begin")
    assert site.step("switch")["removed"] == ["deploykit-engine-0.service"]
    assert site.asked()[0] == "disable --now --quiet deploykit-engine-0.service"
    assert site.installed() == ["deploykit-engine-0.container"], "a service of ours would hide podman's"

    given_up = site.step("abandon")["deploykit_result"]
    assert given_up["restore"]["name"] == OLD
    back = site.step("switch", release=OLD * 5, event="restore")
    assert back["removed"] == ["deploykit-engine-0.container"]
    assert site.installed() == ["deploykit-engine-0.service"]
    assert site.asked()[:2] == ["stop --quiet deploykit-engine-0.service", "daemon-reload"]
    assert "enable --quiet deploykit-engine-0.service" in site.asked()


def test_a_rollback_between_containers_installs_the_unit_of_before(site):
    site.stage(OLD, container="one")
    site.serve(OLD)
    site.stage(NEW, container="two")
    site.serve(NEW)
    site.step("begin", release=OLD * 5, event="rollback")
    done = site.step("switch", release=OLD * 5, event="rollback")
    assert done["started"] == ["deploykit-engine-0.service"]
    assert (site.folder / "containers/deploykit-engine-0.container").read_text() == "one"
    assert not list((site.folder / "containers").glob("*.new"))


def test_another_key_restarts_a_container(site):
    site.stage(NEW, container="one")
    (site.root / "secrets").mkdir(mode=0o700)
    key = site.root / "secrets/engine.env"
    key.write_text("VLLM_API_KEY=one\n")
    site.serve(NEW)
    site.step("begin", wanted="another")
    key.write_text("VLLM_API_KEY=two\n")
    assert site.step("switch")["started"] == ["deploykit-engine-0.service"]


def test_the_hub_s_library_is_the_one_that_is_locked(playbooks):
    variables = yaml.safe_load((playbooks / "group_vars/nodes.yml").read_text())
    package, version = variables["deploykit_hub_package"].split("==")
    lock = (playbooks.parent / "requirements.lock").read_text()
    assert f"\n{package.replace('_', '-')}=={version} " in lock


def test_a_container_that_podman_does_not_know_is_of_no_release(site):
    site.stage(NEW, container="one")
    site.serve(NEW)
    (site.folder / "state/deploykit-engine-0.label").unlink()
    assert site.releases.label_of("deploykit-engine-0.service") == ""
    assert site.releases.label_of("deploykit-gateway.service") is None
