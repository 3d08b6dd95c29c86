"""The role weights on two hosts: one download for both, resumed after a cut, sent from here, and nothing left behind."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from deploykit.effects.ansible import AnsibleRunner

pytestmark = pytest.mark.hosts

double = sys.modules["deploykit_test_hub"]
ROOT = Path(__file__).resolve().parents[2]
FOLDER = f"/opt/deploykit/models/{double.REPO.replace('/', '--')}-{double.REVISION[:12]}"
TOKEN = "hf_token-of-these-tests"


class Site:
    """Two machines, and the role alone as a playbook."""

    def __init__(self, lab, machines, hub, folder):
        self.machines, self.hub, self.folder = machines, hub, folder
        self.inventory = lab.inventory(folder / "inventory.yml", machines)
        self.playbooks = folder / "playbooks"
        shutil.copytree(ROOT / "playbooks", self.playbooks)
        play = {
            "name": "Have the weights",
            "hosts": "nodes",
            "gather_facts": False,
            "become": True,
            "roles": ["weights"],
        }
        (self.playbooks / "weights.yml").write_text(yaml.safe_dump([play]))
        (folder / "bundle/model").mkdir(parents=True)
        (folder / "bundle/model/weights.json").write_text(json.dumps(hub.lock()))
        self.events = []

    def play(self, mirror, *, check=False):
        variables = {
            "deploykit_bundle": str(self.folder / "bundle"), "deploykit_root": "/opt/deploykit",
            "deploykit_supervision": "systemd", "deploykit_release": "0" * 64, "deploykit_engine": "/usr",
            "weights_kind": "hub", "weights_repo": double.REPO, "weights_revision": double.REVISION,
            "weights_lock": "model/weights.json", "weights_mirror": str(mirror), "weights_python": "/usr/bin/python3",
        }  # fmt: skip
        return AnsibleRunner(self.playbooks).run(
            "weights.yml", inventory=self.inventory, variables=variables, secrets={"HF_TOKEN": TOKEN},
            log_dir=self.folder / "log", on_event=self.events.append, check=check,
        )  # fmt: skip

    def holds(self, machine):
        printed = machine.root("sh", "-c", f"cd {FOLDER} && find . -type f -exec sha256sum {{}} +")
        found = dict(reversed(line.split(maxsplit=1)) for line in printed.splitlines())
        wanted = {path: content for path, content in self.hub.files.items() if not path.startswith("original/")}
        return found == {f"./{path}": hashlib.sha256(content).hexdigest() for path, content in wanted.items()}


@pytest.fixture
def site(request, tmp_path):
    try:
        lab, hosts = (request.getfixturevalue(name) for name in ("lab", "hosts"))
    except pytest.FixtureLookupError:
        pytest.skip("there are no test hosts in this checkout")
    machines = hosts(2)
    for machine in machines:
        machine.root("rm", "-rf", "/opt/deploykit/models", "/opt/deploykit/weights")
        machine.root("mkdir", "-p", "/opt/deploykit/models", "/opt/deploykit/weights")
    address = machines[0].address.rpartition(".")[0] + ".1"
    with double.serving(double.HubDouble(plain=True), address) as hub:
        yield Site(lab, machines, hub, tmp_path)


def changed(result):
    return {host.host: host.changed for host in result.hosts}


def test_one_node_downloads_and_the_other_gets_it_from_there(site):
    site.hub.cut_after["model-00001-of-00002.safetensors"] = [None, 1_000_000]
    result = site.play(site.hub.url)
    assert result.status == "successful", result.failures
    assert all(site.holds(machine) for machine in site.machines)
    whole = [r for r in site.hub.downloads("model-00002-of-00002.safetensors") if r is None]
    assert len(whole) == 1, result.facts
    assert not any(result.facts.values()), "nothing had to be told"
    for machine in site.machines:
        assert (
            machine.root(
                "sh", "-c", "cat ~ops/.ssh/authorized_keys ~root/.ssh/authorized_keys 2>/dev/null || true"
            ).count("deploykit-weights")
            == 0
        )
        assert "peer_key" not in machine.root("ls", "/opt/deploykit/weights")
        assert machine.root("sh", "-c", f"grep -rl {TOKEN} /opt/deploykit /tmp || true") == ""
    assert TOKEN not in (site.folder / "log/ansible.log").read_text()

    asked = len(site.hub.asked)
    assert sum(changed(site.play(site.hub.url)).values()) == 0
    assert len(site.hub.asked) == asked


def test_a_node_that_lost_its_disk_gets_its_weights_from_the_other(site):
    assert site.play(site.hub.url).status == "successful"
    first = site.machines[0]
    first.root("sh", "-c", "rm -rf /opt/deploykit/models/*")
    site.hub.asked.clear()
    assert site.play(site.hub.url).status == "successful"
    assert site.holds(first)
    assert not site.hub.downloads("safetensors")


def test_a_folder_of_this_machine_is_sent_to_one_node(site, tmp_path):
    for path, content in site.hub.files.items():
        target = tmp_path / "disk" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    result = site.play(tmp_path / "disk")
    assert result.status == "successful", result.failures
    assert all(site.holds(machine) for machine in site.machines)
    assert not site.hub.asked


def test_a_check_changes_nothing(site):
    done = site.play(site.hub.url, check=True)
    assert done.status == "successful", done.failures
    assert site.machines[0].root("ls", "/opt/deploykit/models") == ""


def test_a_full_disk_is_named_before_anything_is_fetched(site):
    with site.machines[0].full_disk():
        result = site.play(site.hub.url)
    assert result.status == "failed"
    assert "free some space" in result.failures[0].message
    assert not site.hub.downloads("safetensors")
