"""Runs the command line in this process, in a folder and a home of its own."""

import sys
from dataclasses import dataclass

import pytest
import yaml

from deploykit import paths
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


@pytest.fixture
def tiny(hub, tmp_path, monkeypatch):
    """A profile whose checkpoint is the double's repository, and the double as the hub."""
    profile = yaml.safe_load((paths.shipped("profiles") / "models/gpt-oss-120b.yaml").read_text())
    for checkpoint in profile["checkpoints"]:
        checkpoint.update(repo=sys.modules["deploykit_test_hub"].REPO, revision=None)
    folder = tmp_path / "profiles" / "models"
    folder.mkdir(parents=True)
    (folder / "tiny-moe.yaml").write_text(yaml.safe_dump(profile | {"title": "Tiny"}))
    monkeypatch.setenv("DEPLOYKIT_PROFILES", str(folder.parent))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    return ("tiny-moe", "--node", "h200-sxm-8x")
