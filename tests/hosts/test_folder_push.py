"""A bundle's wheels are sent to a host: small ones together, large ones in pieces that append, each once."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
import yaml

from deploykit.effects.ansible import AnsibleRunner

pytestmark = pytest.mark.hosts

ROOT = Path(__file__).resolve().parents[2]
TO = "/opt/deploykit/pushed"


@pytest.fixture
def host(hosts):
    machine = hosts(1)[0]
    machine.root("rm", "-rf", TO)
    return machine


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "wheels"
    made.mkdir()
    sizes = {"large-1-none-any.whl": 70 << 20, "empty-1-none-any.whl": 0}
    sizes |= {f"small{number}-1-none-any.whl": number * 1000 for number in range(1, 40)}
    for name, size in sizes.items():
        (made / name).write_bytes(os.urandom(size))
    return made


@pytest.fixture
def push(lab, host, folder, tmp_path):
    playbooks = tmp_path / "playbooks"
    shutil.copytree(ROOT / "playbooks", playbooks)
    inventory = lab.inventory(tmp_path / "inventory.yml", [host])

    def run(*, slice_s=15, whole=False, check=False):
        task = {"name": "Push", "deploykit_folder_push": {"folder": str(folder), "to": TO, "slice_s": slice_s}}
        if whole:
            task |= {"register": "sent", "until": "sent.done | default(true)", "retries": 99, "delay": 0}
        play = {"name": "Push", "hosts": "nodes", "gather_facts": False, "become": True, "tasks": [task]}
        (playbooks / "push.yml").write_text(yaml.safe_dump([play]))
        return AnsibleRunner(playbooks).run(
            "push.yml", inventory=inventory, variables={}, secrets={}, log_dir=tmp_path / "log",
            on_event=lambda _event: None, check=check,
        )  # fmt: skip

    return run


def there(host):
    printed = host.root("sh", "-c", f"cd {TO} && find . -type f -exec sha256sum {{}} +")
    return dict(reversed(line.split(maxsplit=1)) for line in printed.splitlines())


def test_what_was_sent_before_an_interruption_is_not_sent_again(push, host, folder):
    push(slice_s=0)
    first = there(host)
    assert 0 < len(first) < 41, "it stopped on the way"
    assert push(slice_s=0, whole=True).status == "successful"
    wanted = {f"./{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert there(host) == wanted
    assert host.root("stat", "-c", "%a %U", f"{TO}/large-1-none-any.whl").strip() == "644 root"
    assert not push().hosts[0].changed


def test_a_disk_that_is_too_small_is_named_before_anything_is_sent(push, host):
    assert push(check=True).hosts[0].changed
    with host.full_disk():
        (failure,) = push().failures
    assert "free some space there" in failure.message
    assert host.root("ls", TO) == ""
