"""`down` on this machine, with real Ansible and processes that look like engines."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def orphan(tmp_path):
    """An engine of a rehearsal whose folder was deleted under it."""
    root = tmp_path / "data/rehearsal"
    (root / "engines/cpu/bin").mkdir(parents=True)
    (root / "releases/abc").mkdir(parents=True)
    python = root / "engines/cpu/bin/python"
    python.symlink_to(sys._base_executable)
    code = "import time; print(flush=True); time.sleep(99)"
    with subprocess.Popen([str(python), "-c", code], cwd=root / "releases/abc", stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        shutil.rmtree(tmp_path / "data")
        yield process
        process.kill()


def test_down_ends_an_engine_whose_folder_and_record_are_gone(run, orphan):
    ran = run("down")
    assert ran.code == 0, ran.err
    assert "stopped what was left of a rehearsal" in ran.out
    assert orphan.wait(5) != 0
    assert json.loads(run("down", "--json").out)["result"] == {"name": None, "changed": 0}


def test_down_on_nothing_makes_no_folder(run, tmp_path):
    assert run("down").out == "nothing is deployed from here\n"
    assert not (tmp_path / "data").exists()
    assert not list(Path().iterdir())
