"""A folder's small files are compared in one step and written in another; by real Ansible, on this machine."""

import shutil
import stat
import sys
from typing import ClassVar

import pytest
import yaml

from deploykit.effects.ansible import AnsibleRunner

FILES = {"a.txt": b"one\n", "deep/er/b.bin": bytes(range(256)), "empty": b""}


@pytest.fixture
def here(tmp_path):
    for name, content in FILES.items():
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(content)
    (tmp_path / "here/__pycache__").mkdir()
    (tmp_path / "here/__pycache__/x.pyc").touch()
    return tmp_path / "here"


@pytest.fixture
def place(playbooks, here, tmp_path):
    """Run one task."""
    copy = tmp_path / "playbooks"
    shutil.copytree(playbooks, copy, ignore=shutil.ignore_patterns("roles"))
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"nodes": {"hosts": {"localhost": local}}}))

    def run(*, check=False, **options):
        task = {"name": "Place", "deploykit_folder": {"folder": str(here), "to": str(tmp_path / "there"), **options}}
        play = {"name": "Place", "hosts": "nodes", "gather_facts": False, "tasks": [task]}
        (copy / "place.yml").write_text(yaml.safe_dump([play]))
        return AnsibleRunner(copy).run(
            "place.yml", inventory=inventory, variables={}, secrets={}, log_dir=tmp_path / "log",
            on_event=lambda _event: None, check=check,
        )  # fmt: skip

    return run


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_differs_is_written_and_nothing_else(place, here, tmp_path):
    there = tmp_path / "there"
    assert place(check=True).hosts[0].changed
    assert not there.exists()
    assert place().hosts[0].changed
    assert tree(there) == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in there.rglob("*")} == {0o644, 0o755}

    (there / "deep/er/b.bin").write_bytes(b"changed by hand")
    (there / "a.txt").chmod(0o600)
    (there / "beside").write_text("stays")
    kept = (there / "empty").stat().st_ino
    assert place().hosts[0].changed
    assert tree(there) == FILES | {"beside": b"stays"}
    assert stat.S_IMODE((there / "a.txt").stat().st_mode) == 0o644
    assert (there / "empty").stat().st_ino == kept
    assert not place().hosts[0].changed


def test_one_file_alone(place, tmp_path):
    place(only="a.txt")
    assert tree(tmp_path / "there") == {"a.txt": FILES["a.txt"]}
    (failure,) = place(only="nosuch").failures
    assert "there is nothing at" in failure.message


def test_a_link_in_the_place_of_a_file_is_replaced(place, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(FILES["a.txt"])
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.txt").symlink_to(elsewhere)
    place()
    assert not (tmp_path / "there/a.txt").is_symlink()
    assert elsewhere.exists()


def test_what_cannot_be_written_is_told_with_its_folder(place, tmp_path):
    (tmp_path / "there").write_text("a file")
    (failure,) = place().failures
    assert f"cannot write into {tmp_path}/there" in failure.message


def test_no_path_leads_out_of_the_folder(module, tmp_path, monkeypatch):
    folder = module("deploykit_folder")
    said = {}

    class Module:
        params: ClassVar = {"to": str(tmp_path), "digests": {"../x": "0"}, "contents": {}}
        check_mode = False

        def __init__(self, **_):
            pass

        def fail_json(self, **told):
            said.update(told)
            raise SystemExit(1)

    monkeypatch.setattr(folder, "AnsibleModule", Module)
    with pytest.raises(SystemExit):
        folder.main()
    assert said["msg"] == "../x is no path in a folder"
