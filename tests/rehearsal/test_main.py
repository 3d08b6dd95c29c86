"""`python -m deploykit.rehearsal`: writes once, says what changed, and fails with one sentence."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploykit.rehearsal import __main__ as command
from tests.rehearsal.builders import make_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.json"
    path.write_text(make_recipe().as_json())
    return path


def run(recipe: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    assert command.main(["--recipe", str(recipe), "--out", str(out)]) == 0
    return json.loads(capsys.readouterr().out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_second_run_changes_nothing(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "below" / "model"
    first = run(recipe, out, capsys)
    written, times = contents(out), {path: path.stat().st_mtime_ns for path in out.iterdir()}
    second = run(recipe, out, capsys)
    assert (first["changed"], second["changed"]) == (True, False)
    assert first["digest"] == second["digest"]
    assert contents(out) == written
    assert sorted(written) == first["files"]
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times


def test_what_was_damaged_is_written_again(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    run(recipe, out, capsys)
    whole = contents(out)
    (out / "tokenizer.json").write_text("{")
    (out / "config.json").unlink()
    assert run(recipe, out, capsys)["changed"]
    assert contents(out) == whole


def test_another_config_format_leaves_no_old_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, out = tmp_path / "recipe.json", tmp_path / "model"
    recipe.write_text(make_recipe().as_json())
    run(recipe, out, capsys)
    (out / "keep.txt").write_text("the operator's")
    recipe.write_text(make_recipe(config_file="params.json").as_json())
    assert run(recipe, out, capsys)["changed"]
    assert not (out / "config.json").exists()
    assert (out / "params.json").exists()
    assert (out / "keep.txt").exists()


def test_files_can_be_read_by_the_engines_user(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(recipe, tmp_path / "model", capsys)
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in (tmp_path / "model").iterdir())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not a stand-in recipe"),
        ('{"vocab_size": 4096}', "not a stand-in recipe"),
        (None, "cannot read the recipe"),
    ],
)
def test_a_bad_recipe_is_one_clear_error(
    text: str | None, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.json"
    if text is not None:
        recipe.write_text(text)
    assert command.main(["--recipe", str(recipe), "--out", str(tmp_path / "model")]) == 3
    err = capsys.readouterr().err
    assert what in err
    assert str(recipe) in err
    assert not (tmp_path / "model").exists()


def test_an_output_that_cannot_be_a_folder_is_one_clear_error(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert command.main(["--recipe", str(recipe), "--out", str(tmp_path / "file" / "model")]) == 6
    assert "cannot write the stand-in" in capsys.readouterr().err


def test_a_full_disk_is_one_clear_error_and_leaves_no_fragments(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert command.main(["--recipe", str(recipe), "--out", str(tmp_path / "model")]) == 6
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert "1 MB free" in err
    assert contents(tmp_path / "model") == {}


def test_the_module_runs_in_under_a_second_and_prints_one_line(recipe: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "deploykit.rehearsal", "--recipe", recipe, "--out", tmp_path / "model"],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    assert ran.stderr == ""
    assert json.loads(ran.stdout)["changed"] is True
    assert ran.stdout.count("\n") == 1
