"""What `down --purge` removes of a folder, and what stays."""

import os
import subprocess
from pathlib import Path

import pytest


class Module:
    """The one Ansible gives, as far as it is used without systemd."""

    def __init__(self, root, keep=(), *, check=False):
        self.params = {"root": str(root), "keep": list(keep), "systemd": False}
        self.check_mode = check


@pytest.fixture
def purge(module):
    return module("deploykit_purge")


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "deploykit"
    for file in (
        "engines/a/bin/python",
        "models/m/config.json",
        "releases/r/served.json",
        "lock/holder.json",
        "audit.log",
    ):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (root / "current").symlink_to("releases/r")
    (root / "engines/a/outside").symlink_to(tmp_path)
    (tmp_path / "somebody's").write_text("")
    return root


def test_all_of_it_goes_and_nothing_that_links_point_at(purge, root, tmp_path):
    removed = purge.purge(Module(root))
    assert {Path(path).name for path in removed} == {"engines", "models", "releases", "current"}
    assert not root.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["somebody's"]
    assert purge.purge(Module(root)) == []


def test_what_stays_stays_whole(purge, root):
    assert purge.purge(Module(root, ["models"], check=True))
    assert (root / "current").is_symlink(), "a check removes nothing"
    purge.purge(Module(root, ["models"]))
    assert [path.relative_to(root).as_posix() for path in root.rglob("*")] == [
        "models",
        "models/m",
        "models/m/config.json",
    ]


def test_the_lock_alone_is_no_installation(purge, tmp_path):
    for name in ("lock", "releases"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root/audit.log").write_text("")
    assert purge.purge(Module(tmp_path / "root")) == []
    assert not (tmp_path / "root").exists()


def test_the_lock_goes_last(purge, root):
    assert purge.inside(str(root), [])[-1].endswith("/lock")


@pytest.mark.skipif(os.geteuid() != 0, reason="root mounts a disk")
def test_a_mounted_disk_is_emptied_and_stays(purge, root):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root / "models"], check=True)
    try:
        (root / "models/m").write_text("")
        purge.purge(Module(root))
        assert [path.name for path in root.rglob("*")] == ["models"]
    finally:
        subprocess.run(["umount", root / "models"], check=True)
