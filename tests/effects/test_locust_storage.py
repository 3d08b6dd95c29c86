"""What the generator's end says about the disk, without a generator."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from deploykit.effects.locust import LocustGenerator, _cannot_record
from deploykit.errors import StorageError
from deploykit.measuring.samples import LoadTestSpec
from tests.loadtests.builders import make_workload


def test_a_full_disk_is_said_with_path_and_mend(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    told = _cannot_record(tmp_path)
    assert told.exit_code == 10
    assert told.what == f"{tmp_path / 'samples.jsonl'} cannot be written: No space left on device"
    assert "free some space" in told.hint


def test_a_disk_that_was_full_for_a_while(tmp_path):
    assert "could not be written while the load test ran" in _cannot_record(tmp_path).what


def test_a_run_folder_that_cannot_be_written_is_said_with_path_and_mend(tmp_path):
    (tmp_path / "run").write_text("a file in the way")
    spec = LoadTestSpec(base_url="http://127.0.0.1:1", model="m", workload=make_workload())
    with pytest.raises(StorageError, match=r"run/loadtest\.json cannot be written"):
        LocustGenerator(Path()).run(spec, directory=tmp_path / "run", api_key=None, on_progress=lambda _: None)
