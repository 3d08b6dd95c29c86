"""Runs the command line in this process, in a folder and a home of its own."""

import sys
from dataclasses import dataclass

import pytest

from deploykit.cli.main import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run `deploykit ARGS` and return its exit code and what it printed."""
    for variable in ("HF_TOKEN", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DEPLOYKIT_DATA_DIR", str(tmp_path / "data"))
    work = tmp_path / "work folder"
    work.mkdir()
    monkeypatch.chdir(work)

    def go(*args: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["deploykit", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Ran(code=int(ended.value.code or 0), out=printed.out, err=printed.err)

    return go
