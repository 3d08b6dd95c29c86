"""`down` on this machine, with real Ansible and processes that look like engines."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploykit.deploying.record import DeploymentRecord
from deploykit.effects.records import Records


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


HOLD = """
import sys, pathlib
from deploykit.effects.lock import locked
with locked(pathlib.Path(sys.argv[1]), "deploykit up somewhere"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def provisioning(tmp_path):
    """A deployment whose first `up` has not got to serving."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "plan.json").write_text("{}")
    record = DeploymentRecord(
        name="rehearsal",
        model="m",
        node="n",
        rehearsal=True,
        release="a" * 64,
        run=str(run),
        inventory="i",
        variables={},
    )
    records = Records(tmp_path / "data")
    records.save(record)
    return records.folder("rehearsal")


@pytest.mark.parametrize("command", ["up", "loadtest", "down"])
def test_beside_an_up_every_command_that_changes_something_names_it(run, provisioning, command):
    arguments = [sys.executable, "-c", HOLD, str(provisioning)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        holder.stdout.readline()
        ran = run(command)
        holder.communicate()
    assert ran.code == 9, ran.err
    assert f"process {holder.pid}" in ran.err
    assert "since 20" in ran.err


def test_a_load_test_of_what_never_served_says_what_to_do(run, provisioning):
    ran = run("loadtest")
    assert ran.code == 3
    assert "did not get to serving" in ran.err
    assert "deploykit up" in ran.err


def test_down_on_nothing_makes_no_folder(run, tmp_path):
    assert run("down").out == "nothing is deployed from here\n"
    assert not (tmp_path / "data").exists()
    assert not list(Path().iterdir())


def test_purge_removes_a_rehearsal_that_is_stopped_and_its_weights_unless_they_stay(run, tmp_path):
    root = tmp_path / "data/rehearsal"
    for folder in ("engines/cpu", "models/stand-in", "releases/abc"):
        (root / folder).mkdir(parents=True)
    assert run("down").out == "nothing is deployed from here\n"
    ran = run("down", "--purge", "--keep-weights")
    assert (ran.code, ran.out) == (0, "purged\n"), ran.err
    assert [path.name for path in root.iterdir()] == ["models"]
    assert run("down", "--purge").out == "purged\n"
    assert not root.exists()
    assert run("down", "--purge").out == "nothing is deployed from here\n"


@pytest.mark.parametrize("arguments", [("-i", "hosts.yml"), ("rehearsal", "--purge", "-i", "hosts.yml")])
def test_an_inventory_is_for_a_purge_of_what_is_not_known(run, arguments):
    ran = run("down", *arguments)
    assert ran.code == 2
    assert "`deploykit down --purge -i FILE`" in ran.err
