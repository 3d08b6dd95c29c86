import json
import subprocess
import sys

import pytest

from deploykit.effects.lock import locked
from deploykit.errors import LockedError

HOLD = """
import sys, pathlib
from deploykit.effects.lock import locked
with locked(pathlib.Path(sys.argv[1]), "deploykit up somewhere"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_lock_and_since_when(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError) as caught, locked(tmp_path, "second"):
            pass
        assert f"process {holder.pid}" in caught.value.what
        assert "deploykit up somewhere" in caught.value.what
        assert "since 20" in caught.value.what
    finally:
        holder.communicate()


def test_a_dead_holder_leaves_no_lock(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    assert json.loads((tmp_path / "lock.json").read_text())["pid"] == holder.pid
    with locked(tmp_path, "second"):
        assert json.loads((tmp_path / "lock.json").read_text())["what"] == "second"
    assert not (tmp_path / "lock.json").exists()
