"""A run that is killed outright leaves neither processes nor its folder; a living one keeps both."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from deploykit.effects.private_folder import MARK, private_folder, remove_stale
from deploykit.effects.processes import marked

RUN = """
import os, pathlib, subprocess, sys
from deploykit.effects.private_folder import MARK, private_folder
with private_folder() as folder:
    (folder / "secrets.yml").write_text("secret")
    child = subprocess.Popen(["sleep", "99"], env={MARK: folder.name}, start_new_session=True)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run():
    """A run at work: its process, and its folder."""
    process = subprocess.Popen([sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.folder = Path(process.stdout.readline().strip())
    yield process
    for pid in [process.pid, *marked(MARK, process.folder.name)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def watchdogs(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"private_folder" in path.read_bytes() and os.fsencode(folder) in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def soon(what) -> bool:
    end = time.monotonic() + 15
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


def test_a_run_that_is_killed_outright_leaves_nothing(run):
    assert len(marked(MARK, run.folder.name)) == 1
    run.kill()
    assert soon(lambda: not run.folder.exists())
    assert marked(MARK, run.folder.name) == []
    assert soon(lambda: not watchdogs(run.folder))


def test_if_the_watchdog_is_killed_too_the_next_run_cleans_up(run):
    (watchdog,) = watchdogs(run.folder)
    os.kill(watchdog, signal.SIGKILL)
    run.kill()
    run.wait()
    assert run.folder.exists()
    with private_folder():
        assert not run.folder.exists()
        assert marked(MARK, run.folder.name) == []


def test_a_living_run_keeps_its_folder(run):
    remove_stale(run.folder.parent)
    with private_folder() as other:
        assert other != run.folder
        assert (run.folder / "secrets.yml").read_text() == "secret"
        assert len(marked(MARK, run.folder.name)) == 1
    assert not other.exists()


def test_only_we_can_enter_and_at_the_end_nothing_is_left():
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert soon(lambda: len(watchdogs(folder)) == 1)
    assert not folder.exists()
    assert not watchdogs(folder)


def test_a_link_is_not_followed(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (tmp_path / "deploykit-play-x").symlink_to(mine)
    remove_stale(tmp_path)
    assert mine.exists()


def test_another_place_is_taken_where_there_is_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_folder() as folder:
        assert folder.parent == tmp_path
