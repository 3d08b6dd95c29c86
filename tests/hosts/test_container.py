"""An engine in a container on a real host: podman 5 of Debian 13 under systemd, staged and switched by the real modules.

The image is made of the host's own files by `podman import`; what stands for vLLM in it says what it sees. Bypassed are
the pull, for which there is no registry, the GPUs, whose names a double of NVIDIA's toolkit gives, and the limits that
this machine may not raise.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from platformdirs import user_cache_path

from deploykit.effects.ansible import AnsibleRunner
from deploykit.paths import shipped
from deploykit.rendering.bundle import Bundle, BundleFile
from deploykit.rendering.options import ContainerOptions
from tests.rendering.builders import NO_GATEWAY, choice, make_plan
from tests.rendering.formats import quadlet_tool
from tests.rendering.test_renderer import bundle_of

pytestmark = pytest.mark.hosts

machines = sys.modules["deploykit_test_machines"]
# Read before any test gets a home of its own.
CACHE = user_cache_path("deploykit-tests", appauthor=False) / "hosts"
IMAGE = "localhost/engine:1"
CONTAINER = ContainerOptions(image=IMAGE)
KEY = 'sk-4711"in$a container'
UNIT = "deploykit-engine-0"
MODEL = "/opt/deploykit/models/acme--big-moe-0a1b2c3d4e5f"
STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n'
FILES = "usr/bin/vllm usr/bin/python3* usr/lib/python3* usr/lib/*-linux-gnu usr/lib64 lib lib64 bin usr/bin/env"
TOOLKIT = """#!/bin/sh
# Stands for NVIDIA's container toolkit: what it names is a variable and no device.
case "$*" in
"cdi list") [ -e /etc/cdi/nvidia.yaml ] && sed -n 's/^- name: /nvidia.com\\/gpu=/p' /etc/cdi/nvidia.yaml ;;
"cdi generate --output="*)
    echo 'cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:' > "${3#--output=}"
    for gpu in 0 1 2 3 4 5 6 7 all; do
        printf -- '- name: %s\n  containerEdits: {env: [GPUS=%s]}\n' "$gpu" "$gpu" >> "${3#--output=}"
    done ;;
esac
exit 0
"""
PLAY = """
- name: Serve
  hosts: nodes
  gather_facts: false
  become: true
  tasks:
    - name: Begin
      deploykit_deployment: {state: begin, root: "{{ deploykit_root }}", holder: "{{ deploykit_holder }}",
                             release: "{{ deploykit_release }}", event: "{{ event }}", wanted: w}
    - name: Have the image
      ansible.builtin.include_role: {name: runtime, tasks_from: container}
      when: runtime_form == 'container'
    - name: Make the folder for an engine in an environment
      ansible.builtin.file: {path: "{{ deploykit_engine }}/bin", state: directory, mode: "0755"}
      when: runtime_form == 'environment'
    - name: Have an engine in an environment
      ansible.builtin.copy: {src: "{{ engine_double }}", dest: "{{ deploykit_engine }}/bin/vllm", mode: "0755"}
      when: runtime_form == 'environment'
    - name: Place
      ansible.builtin.include_role: {name: engine, tasks_from: place}
      when: event == 'up'
    - name: Make the folder for units
      ansible.builtin.file: {path: "{{ deploykit_release_dir }}/units", state: directory, mode: "0755"}
    - name: Describe
      ansible.builtin.include_role: {name: engine, tasks_from: units_container}
      when: event == 'up' and runtime_form == 'container'
    - name: Describe to systemd
      ansible.builtin.include_role: {name: engine, tasks_from: units_environment}
      when: event == 'up' and runtime_form == 'environment'
    - name: Switch
      deploykit_deployment: {state: switch, root: "{{ deploykit_root }}", holder: "{{ deploykit_holder }}",
                             release: "{{ deploykit_release }}", event: "{{ event }}"}
    - name: Wait
      ansible.builtin.include_role: {name: engine, tasks_from: ready}
    - name: Finish
      deploykit_deployment: {state: finish, root: "{{ deploykit_root }}", holder: "{{ deploykit_holder }}",
                             release: "{{ deploykit_release }}", event: "{{ event }}", wanted: w}
"""
STOP = """
- name: Stop
  hosts: nodes
  gather_facts: false
  become: true
  tasks:
    - name: Stop
      ansible.builtin.include_role: {name: engine, tasks_from: stop}
"""


class PodmanLab(machines.Lab):
    """Machines of the first Debian whose podman makes services; a container needs two more of the kernel's calls."""

    def make_image(self) -> Path:
        packages = (*machines.PACKAGES[:11], "podman", "crun", "netavark", "catatonit")
        return machines.image(self._cache, "trixie", packages, f"deb {quadlet_tool.mirror()} trixie main")

    @property
    def options(self):
        (self.folder / "images").mkdir(exist_ok=True)
        return ("--system-call-filter=bpf keyctl add_key", f"--bind={self.folder}/images:/var/lib/containers")


def possible_here(text: str) -> str:
    """Return a unit without what this machine cannot give: locked memory, open files, a controller of processes."""
    lines = ("PodmanArgs=--shm-size=0 --pids-limit=0" if "--ulimit" in line else line for line in text.splitlines())
    return "\n".join(lines) + "\n"


class Site:
    """A host, and releases for it."""

    def __init__(self, machine, lab, folder):
        self.machine, self.folder = machine, folder
        self.inventory = lab.inventory(folder / "inventory.yml", [machine])
        (folder / "group_vars").symlink_to(shipped("playbooks").absolute() / "group_vars")

    def bundle(self, value, container=CONTAINER):
        """Write a bundle whose environment holds a value; return its digest and its variables."""
        plan = make_plan(environment=(choice("SAID", value),))
        made = bundle_of(plan, ("127.0.0.1",), NO_GATEWAY, container=container)
        files = tuple(
            BundleFile(path=f.path, content=possible_here(f.content), purpose=f.purpose)
            if f.path.endswith(".container")
            else f
            for f in made.files
        )
        bundle = Bundle(files=files)
        digest = bundle.manifest.digest
        folder = self.folder / digest[:12]
        for file in bundle.files:
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.path).write_text(file.content)
        variables = yaml.safe_load(bundle.file("ansible/vars.yaml").content)
        return digest, variables | {"deploykit_bundle": str(folder), "deploykit_release": digest}

    def play(self, text, variables, event="up"):
        (self.folder / "play.yml").write_text(text)
        more = {
            "deploykit_root": "/opt/deploykit", "deploykit_profiles": "/nowhere", "deploykit_supervision": "systemd",
            "deploykit_holder": {"token": "t", "user": "ana", "host": "laptop"}, "event": event,
            "engine_ready_timeout_s": 60, "weights_mirror": "/mirror",
            "engine_double": str(Path(__file__).with_name("vllm_in_image.py")),
        }  # fmt: skip
        result = AnsibleRunner(shipped("playbooks")).run(
            str(self.folder / "play.yml"), inventory=self.inventory, variables=variables | more,
            secrets={"VLLM_API_KEY": KEY}, log_dir=self.folder / "logs", on_event=lambda _: None,
        )  # fmt: skip
        assert result.status == "successful", result.failures
        return result

    def serve(self, value, event="up", **container):
        digest, variables = self.bundle(value, **container)
        self.play(PLAY, variables, event)
        return digest[:12]

    def show(self):
        said = self.machine.root("systemctl", "show", UNIT, "--property=ActiveState,MainPID,NRestarts,UnitFileState")
        return dict(line.split("=") for line in said.split())

    def ask(self):
        """Return what the engine sees; it listens on the host's own loopback, as without a container."""
        code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8001/').read().decode())"
        return json.loads(self.machine.root("python3", "-c", code))

    def label(self):
        return self.machine.root(
            "podman", "container", "inspect", "--format", '{{index .Config.Labels "deploykit.release"}}', UNIT
        ).strip()

    def wait(self, true, seconds=30):
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.machine.root("journalctl", "-u", UNIT, "-n", "30", "--no-pager")
            time.sleep(0.3)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    reason = machines.why_not()
    if reason:
        pytest.skip(reason)
    if quadlet_tool.mirror() is None:
        pytest.skip("this machine installs nothing from a Debian archive, where podman 5 comes from")
    folder = tmp_path_factory.mktemp("containers")
    with PodmanLab(folder, CACHE) as own:
        (machine,) = own.add(1)
        files = machine.folder / "root"
        (files / "etc/containers").mkdir(parents=True, exist_ok=True)
        (files / "etc/containers/storage.conf").write_text(STORAGE)
        (files / "usr/bin/vllm").write_text(Path(__file__).with_name("vllm_in_image.py").read_text())
        machine.root("chmod", "755", "/usr/bin/vllm")
        (files / "usr/bin/nvidia-ctk").write_text(TOOLKIT)
        machine.root("chmod", "755", "/usr/bin/nvidia-ctk")
        machine.root("sh", "-c", f"cd / && tar -c {FILES} | podman import -q - {IMAGE}")
        machine.root("rm", "/usr/bin/vllm")
        machine.root("mkdir", "-p", MODEL)
        machine.root("touch", f"{MODEL}/model.safetensors")
        tried = subprocess.run(
            machine.into("podman", "run", "--rm", "--cgroups=disabled", "--network=host", IMAGE, "/usr/bin/python3", "-V"),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if tried.returncode:
            pytest.skip(f"podman cannot run a container on such a host here: {tried.stderr.strip()[-300:]}")
        (folder / "site").mkdir()
        yield Site(machine, own, folder / "site")


@pytest.fixture(scope="module")
def first(site):
    """The first release, served."""
    return site.serve("one 'and' $two %n")


def test_the_same_command_in_a_folder_like_the_release_s_without_rights(first, site):
    seen = site.ask()
    assert seen["cwd"] == "/deploykit"
    assert seen["model"] == ["model.safetensors"]
    assert seen["environment"]["SAID"] == "one 'and' $two %n"
    assert seen["environment"]["VLLM_API_KEY"] == KEY
    assert seen["environment"]["GPUS"] == "all", "by the name that the toolkit gave"
    assert seen["user"] != 0
    assert [path for path, could in seen["written"].items() if could] == ["/cache/x", "/tmp/x"]  # noqa: S108 - inside it
    rights = dict(line.split(":\t", 1) for line in seen["status"].splitlines() if ":\t" in line)
    assert int(rights["CapBnd"], 16) == int(rights["CapEff"], 16) == 0
    assert (rights["NoNewPrivs"], rights["Seccomp"]) == ("1", "2")


def test_the_key_is_in_no_unit_no_command_line_and_no_journal(first, site):
    word = KEY.partition('"')[0]
    units = site.machine.root("grep", "-rF", word, "/etc/containers", "/etc/systemd", "/run/systemd", check=False)
    commands = site.machine.root("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    journal = site.machine.root("journalctl", "--no-pager")
    assert (units, word in commands, word in journal) == ("", False, False)
    assert site.machine.root("stat", "-c", "%a", "/opt/deploykit/secrets/engine.env").strip() == "600"


def test_logs_are_the_unit_s_and_podman_s_label_names_the_release(first, site):
    assert "serving ./model as big-moe" in site.machine.root("journalctl", "-u", UNIT, "-o", "cat", "--no-pager")
    assert site.label() == first
    assert site.show()["UnitFileState"] == "generated"


def test_a_second_time_nothing_is_started(first, site):
    before = site.show()
    site.serve("one 'and' $two %n")
    assert site.show() == before


def test_an_engine_that_dies_is_started_again(first, site):
    before = site.show()["MainPID"]
    inside = site.machine.root("podman", "container", "inspect", "--format", "{{.State.Pid}}", UNIT).strip()
    site.machine.root("kill", "-9", inside)
    site.wait(lambda: site.show()["MainPID"] not in ("0", before) and site.show()["ActiveState"] == "active")
    assert site.show()["NRestarts"] == "1"


def test_another_release_takes_its_place_and_gives_it_back(first, site):
    second = site.serve("another")
    assert site.label() == second != first
    assert site.ask()["environment"]["SAID"] == "another"
    site.serve("one 'and' $two %n", event="rollback")
    assert site.label() == first
    assert site.ask()["environment"]["SAID"] == "one 'and' $two %n"
    assert len(site.machine.root("podman", "ps", "--all", "--quiet").split()) == 1, "nothing is left of the other"


def test_an_environment_takes_a_container_s_place_and_gives_it_back(first, site):
    plain = site.serve("plain", container=None)
    assert site.ask()["cwd"] == f"/opt/deploykit/releases/{plain}"
    assert site.show()["UnitFileState"] == "enabled"
    assert "deploykit" not in site.machine.root("ls", "/etc/containers/systemd")
    assert site.machine.root("podman", "ps", "--all", "--quiet") == ""
    site.serve("one 'and' $two %n", event="rollback")
    assert (site.label(), site.ask()["cwd"]) == (first, "/deploykit")
    assert "engine-0" not in site.machine.root("ls", "/etc/systemd/system")


def test_it_starts_at_boot_until_it_is_stopped(first, site):
    site.machine.reboot()
    site.wait(lambda: site.show()["ActiveState"] == "active")
    _, variables = site.bundle("one 'and' $two %n")
    site.play(STOP, variables)
    assert "deploykit" not in site.machine.root("ls", "/etc/containers/systemd")
    assert site.show()["ActiveState"] == "inactive"
    assert site.machine.root("podman", "ps", "--all", "--quiet") == ""
    assert site.machine.root("ls", "/opt/deploykit/secrets") == ""
