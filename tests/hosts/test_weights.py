"""The role weights on two hosts: one download for both, resumed after a cut, sent from here, and nothing left behind."""

import contextlib
import hashlib
import json
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest
import yaml

from deploykit.deploying.outcome import failure_error
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

    def play(self, mirror, *, check=False, **more):
        variables = {
            "deploykit_bundle": str(self.folder / "bundle"), "deploykit_root": "/opt/deploykit",
            "deploykit_supervision": "systemd", "deploykit_release": "0" * 64, "deploykit_engine": "/usr",
            "weights_kind": "hub", "weights_repo": double.REPO, "weights_revision": double.REVISION,
            "weights_lock": "model/weights.json", "weights_mirror": str(mirror), "weights_python": "/usr/bin/python3", **more,
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


def test_a_damaged_and_a_short_file_on_a_host_are_named_and_fetched_again(site):
    assert site.play(site.hub.url).status == "successful"
    first, second = site.machines
    damaged, short = f"{FOLDER}/model-00001-of-00002.safetensors", f"{FOLDER}/tokenizer/vocab.json"
    first.root("sh", "-c", f"printf X | dd of={damaged} bs=1 seek=99 conv=notrunc 2>&1")
    second.root("truncate", "--size=3", short)
    site.hub.asked.clear()
    result = site.play(site.hub.url)
    assert result.status == "successful", result.failures
    assert all(site.holds(machine) for machine in site.machines)
    notes = {host: "\n".join(told["weights"]) for host, told in result.facts.items() if "weights" in told}
    assert "model-00001-of-00002.safetensors was damaged (SHA-256" in notes[first.name]
    assert (
        f"tokenizer/vocab.json had 3 bytes instead of {len(site.hub.files['tokenizer/vocab.json'])}"
        in notes[second.name]
    )
    assert not site.hub.downloads("model-00002-of-00002.safetensors"), "what is whole is not fetched again"


def test_how_far_a_download_is_is_told_while_it_goes_on(site):
    site.hub.slow_s = 0.25
    assert site.play(site.hub.url).status == "successful"
    told = [event.message for event in site.events if event.kind == "retry"]
    assert any(re.fullmatch(r"weights: \S+ of \S+ GB(, \S+ GB/s, \d+ min left)?", message) for message in told), told


def test_a_check_changes_nothing(site):
    done = site.play(site.hub.url, check=True)
    assert done.status == "successful", done.failures
    assert site.machines[0].root("ls", "/opt/deploykit/models") == ""


def test_a_disk_that_fills_during_a_download_is_named_and_the_next_one_goes_on(site):
    """One file is whole, the other under way, and something else takes the rest of the disk."""
    first, other = site.machines[0], "/opt/deploykit/models/another--0123456789ab/weights"
    first.root("sh", "-c", f"mkdir {Path(other).parent} && head -c 100000 /dev/urandom > {other}")
    before = first.root("sha256sum", other)
    site.hub.slow_s = 0.12
    under_way = f"{FOLDER}.partial/model-00002-of-00002.safetensors"
    with contextlib.ExitStack() as faults:
        filling = threading.Thread(target=lambda: (first.until(under_way), faults.enter_context(first.full_disk())))
        filling.start()
        result = site.play(site.hub.url, weights_parallel=1)
        filling.join()
    said = failure_error(result)
    assert said.what.startswith(f"{first.name}: weights : Fetch and verify the weights: ")
    assert "free some space" in f"{said.what} {said.hint}"
    assert "Traceback" not in str(said.detail)
    assert first.root("sha256sum", other) == before

    site.hub.slow_s = 0
    site.hub.asked.clear()
    result = site.play(site.hub.url, weights_parallel=1)
    assert result.status == "successful", result.failures
    first.root("rm", "-r", str(Path(other).parent))
    assert all(site.holds(machine) for machine in site.machines)
    assert not site.hub.downloads("model-00001-of-00002.safetensors"), "what is whole is not fetched again"
    assert all(ranged for ranged in site.hub.downloads("model-00002-of-00002.safetensors")), "it goes on where it was"


def test_a_full_disk_is_named_before_anything_is_fetched(site):
    with site.machines[0].full_disk():
        result = site.play(site.hub.url)
    assert result.status == "failed"
    assert "free some space" in result.failures[0].message
    assert not site.hub.downloads("safetensors")
