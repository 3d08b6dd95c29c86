"""Every file of a run folder and of a deployment's record, damaged in every way: one error that names the file."""

import json
import os
import re
from pathlib import Path

import pytest

from deploykit.effects.run_store import RunStore
from deploykit.workflows.ports import PlaybookResult
from deploykit.workflows.report import save_run
from tests.measuring.builders import make_run, moved
from tests.reporting.builders import BUNDLE, make_deployment, make_rehearsal_plan

READ = ("plan.json", "bundle/manifest.json", "deployment.json", "loadtest-run.json", "samples.jsonl")
DAMAGES = ("half", "bytes", "another value", "deep", "folder", "gone", "unreadable")
REQUESTS = 40


@pytest.fixture
def folder(run) -> Path:
    """A run folder that can be reported, of a model and a machine of the catalogue."""
    store = RunStore(Path("runs/one"))
    names = {"model": "deepseek-v4-flash", "node": "local", "stand_in": "mla-moe"}
    store.write("plan.json", make_rehearsal_plan().model_copy(update=names))
    store.write("bundle/manifest.json", BUNDLE.manifest)
    store.write("deployment.json", make_deployment())
    tested = make_run(*(moved(0.1 * i, request=i) for i in range(REQUESTS)))
    save_run(store, tested)
    store.write_text("samples.jsonl", "".join(sample.model_dump_json() + "\n" for sample in tested.samples))
    return store.directory


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    match how:
        case "folder" | "gone":
            file.unlink()
            if how == "folder":
                file.mkdir()
        case "unreadable":
            if os.geteuid() == 0:
                pytest.skip("root reads everything")
            file.chmod(0)
        case "half":
            file.write_bytes(content[: len(content) // 2])
        case "bytes":
            file.write_bytes(content[:40] + bytes(range(128, 256)) + content[40:])
        case "another value":
            file.write_bytes(b'{"x": [1]}\n')
        case "deep":
            file.write_bytes(b"[" * 100_000 + b"\n")


def test_the_run_as_it_is_can_be_reported(run, folder):
    assert run("report", str(folder)).code == 0
    assert run("report", "--list").out.split() == ["one"]


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", READ)
def test_a_damaged_file_of_a_run_is_named(run, folder, name, how):
    damage(folder / name, how)
    ran = run("report", str(folder), "--json")
    error = json.loads(ran.out)["error"]
    assert ran.code == (3 if name == "plan.json" and how in {"folder", "gone"} else 10)
    assert Path(name).name in error["what"]
    assert error["hint"] or how in {"folder", "gone"}
    assert ran.err == ""
    assert not (folder / "measurements.json").exists(), "nothing is written before all is read"


@pytest.mark.parametrize("name", ["measurements.json", "report.html"])
def test_what_is_in_the_way_of_a_report_is_named(run, folder, name):
    (folder / name).mkdir()
    ran = run("report", str(folder))
    assert ran.code == 10
    assert name in ran.err


def test_samples_cut_between_two_lines_are_missed(run, folder):
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join(lines[:-1]))
    ran = run("report", str(folder))
    assert ran.code == 10
    assert f"holds {REQUESTS - 1} requests, and the load test sent {REQUESTS}" in ran.err


def test_a_run_of_before_samples_were_counted_can_still_be_reported(run, folder):
    summary = json.loads((folder / "loadtest-run.json").read_text())
    del summary["sample_count"]
    (folder / "loadtest-run.json").write_text(json.dumps(summary))
    assert run("report", str(folder)).code == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("first_token_s", "Infinity"), ("token_events_s", "[NaN]"), ("prompt_tokens", "-1"), ("cached_tokens", "-1")],
)
def test_a_sample_that_no_clock_or_counter_gives_is_damage(run, folder, key, value):
    first, *others = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    wrong = json.dumps({**json.loads(first), key: "here"}).replace('"here"', value)
    (folder / "samples.jsonl").write_text("".join([wrong + "\n", *others]))
    ran = run("report", str(folder))
    assert ran.code == 10
    assert "samples.jsonl is damaged" in ran.err


@pytest.fixture
def home(tmp_path) -> Path:
    """The folder of a deployment's record."""
    home = tmp_path / "data" / "deployments" / "one"
    home.mkdir(parents=True)
    (home / "inventory.yml").write_text("nodes: {hosts: {localhost: {ansible_connection: local}}}\n")
    facts = {"name": "one", "model": "m", "node": "n", "rehearsal": True, "release": "d", "run": "r", "variables": {}}
    (home / "record.json").write_text(json.dumps({**facts, "inventory": str(home / "inventory.yml")}))
    return home


@pytest.mark.parametrize("how", sorted({*DAMAGES} - {"gone"}))
def test_a_damaged_record_is_named_with_the_way_out(run, home, how):
    file = home / "record.json"
    damage(file, how)
    for command in ("status", "logs", "loadtest", "down"):
        ran = run(command)
        assert ran.code == 10
        assert str(file) in ran.err
        assert "deploykit up" in ran.err or how in {"folder", "unreadable"}
        assert file.exists(), "what still runs is not forgotten"


@pytest.mark.parametrize("how", ["bytes", "gone"])
def test_without_an_inventory_nothing_is_said_about_hosts_nobody_looked_at(run, home, how):
    damage(home / "inventory.yml", how)
    ran = run("status")
    assert ran.code == 10
    assert "inventory.yml names no host" in ran.err


def test_without_an_inventory_down_forgets_nothing(run, home, monkeypatch):
    nothing = PlaybookResult(status="successful", hosts=())
    monkeypatch.setattr("deploykit.effects.ansible.AnsibleRunner.run", lambda *_args, **_kwargs: nothing)
    assert run("down").code == 10
    assert (home / "record.json").exists()


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
@pytest.mark.parametrize("name", ["deployment.json", "loadtest-run.json"])
def test_a_time_that_cannot_be_reckoned_with_is_one_error(run, folder, name, when):
    file = folder / name
    changed, count = re.subn(r'"20\d\d-\d\d-\d\dT[^"]*"', f'"{when}"', file.read_text())
    file.write_text(changed)
    ran = run("report", str(folder))
    assert (count > 0, ran.code) == (True, 10), ran.err
    assert f"{name} is damaged" in ran.err
    assert "is no time of a run" in ran.err
