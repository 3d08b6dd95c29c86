import datetime as dt
import os
from pathlib import Path

import pytest

from deploykit.base import Value
from deploykit.effects.files import read_value, write_text
from deploykit.effects.run_store import RunStores
from deploykit.errors import CatalogError, StorageError
from deploykit.rendering.bundle import Bundle, BundleFile

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, tzinfo=dt.UTC)


class Thing(Value):
    number: int


def test_runs_in_one_second_do_not_share_a_folder(tmp_path):
    runs = RunStores(tmp_path)
    first, second = (runs.create(model="m", node="n", now=NOW) for _ in range(2))
    assert first.directory.name == "20261123T120000Z-m-n"
    assert second.directory.name == "20261123T120000Z-m-n-1"
    assert (tmp_path / "latest").resolve() == second.directory.resolve()


def test_latest_opens_and_an_unknown_run_says_what_to_do(tmp_path):
    runs = RunStores(tmp_path)
    with pytest.raises(CatalogError, match="no run `latest`"):
        runs.open("latest")
    made = runs.create(model="m", node="n", now=NOW)
    made.write("plan.json", Thing(number=1))
    assert runs.open("latest").read("plan.json", Thing).number == 1
    assert runs.names() == (made.directory.name,)


def test_a_bundle_is_written_as_its_manifest_says(tmp_path):
    bundle = Bundle(files=(BundleFile(path="a/b.yaml", content="x: 1\n", purpose="test"),))
    folder = RunStores(tmp_path).create(model="m", node="n", now=NOW).write_bundle(bundle)
    assert (folder / "a/b.yaml").read_text() == "x: 1\n"
    assert bundle.manifest.digest in (folder / "manifest.json").read_text()


def test_damaged_files_are_named(tmp_path):
    file = tmp_path / "thing.json"
    write_text(file, '{"number": "x"}')
    with pytest.raises(StorageError) as caught:
        read_value(file, Thing)
    assert str(file) in str(caught.value.where)
    with pytest.raises(StorageError, match="cannot be read"):
        read_value(tmp_path / "none.json", Thing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(fd):
        os.write(os.open("/dev/full", os.O_WRONLY), b"x")

    monkeypatch.setattr("deploykit.effects.files.os.fsync", full)
    with pytest.raises(StorageError) as caught:
        write_text(tmp_path / "file", "text")
    assert "disk is full" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="cannot be written"):
        RunStores(tmp_path / "file" / "runs").create(model="m", node="n", now=NOW)


def test_a_file_in_the_place_of_the_folder_is_not_taken_for_no_runs(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="cannot be read"):
        RunStores(tmp_path / "file").names()
    assert RunStores(tmp_path / "none").names() == ()


@pytest.mark.parametrize(
    ("mark", "mend"), [("plan.json", "deploykit up --again"), ("target.json", "deploykit loadtest ADDRESS")]
)
def test_what_is_damaged_is_mended_by_the_command_that_made_it(tmp_path, mark, mend):
    run = RunStores(tmp_path).create(model="m", node="n", now=NOW)
    run.write_text(mark, "{}")
    run.write_text("thing.json", "[")
    with pytest.raises(StorageError) as caught:
        run.read("thing.json", Thing)
    assert f"measure again with `{mend}`" in str(caught.value.hint)
