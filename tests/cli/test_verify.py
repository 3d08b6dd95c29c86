"""`report verify` and `report export`: what was changed after a report was made is found and named, offline."""

import json
import re
import socket
import tarfile
from functools import partial
from pathlib import Path

import pytest

from deploykit.effects.run_store import RunStore
from deploykit.errors import EvidenceError
from deploykit.measuring.found import Found
from deploykit.reporting import html as page
from deploykit.workflows.report import Target, save_found, save_run
from tests.measuring.builders import make_run, moved
from tests.reporting.builders import BUNDLE, make_deployment, make_rehearsal_plan

REQUESTS = 80


def make_folder(name: str = "one") -> RunStore:
    store = RunStore(Path("runs") / name)
    names = {"model": "deepseek-v4-flash", "node": "local", "stand_in": "mla-moe"}
    store.write("plan.json", make_rehearsal_plan().model_copy(update=names))
    store.write_bundle(BUNDLE)
    store.write("deployment.json", make_deployment())
    tested = make_run(*(moved(0.1 * i, request=i, output_tokens=8 + i % 3) for i in range(REQUESTS)))
    save_run(store, tested)
    store.write_samples(tested.samples)
    return store


@pytest.fixture(autouse=True)
def without_plots(monkeypatch):
    """Plots take a second; the test that needs them takes this back."""
    for name in ("html", "loadtest_html"):
        made = partial(getattr(page, name), draw=lambda _: ())
        monkeypatch.setattr(f"deploykit.workflows.remake.{name}", made)


@pytest.fixture
def folder(run) -> Path:
    """A run folder with its report."""
    store = make_folder()
    assert run("report", str(store.directory)).code == 0
    return store.directory


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def another_digit(file: Path, key: str) -> tuple[str, str]:
    """Change the last digit of a number in a JSON file, and return it before and after."""
    found = re.search(rf'"{key}": "?(-?[0-9.]*)([0-9])', file.read_text())
    assert found, key
    before, digit = found[1] + found[2], str((int(found[2]) + 1) % 10)
    change(file, found[0], found[0][:-1] + digit)
    return before, found[1] + digit


def mismatches(ran) -> str:
    assert ran.code == EvidenceError.exit_code == 20
    return "\n".join(line for line in ran.out.splitlines() if line.startswith("MISMATCH"))


def test_plots_are_the_same_each_time(run, folder, monkeypatch):
    monkeypatch.setattr("deploykit.workflows.remake.html", page.html)
    assert run("report", str(folder)).code == 0
    assert "<svg" in (folder / "report.html").read_text()
    assert run("report", "verify", str(folder)).code == 0
    change(folder / "report.html", "</svg>", " </svg>")
    assert "report.html: line" in mismatches(run("report", "verify", str(folder)))
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["drawn_by"]["matplotlib"] = "1.2.3"
    (folder / "evidence.json").write_text(json.dumps(evidence))
    ran = run("report", "verify", str(folder))
    assert "not checked: the plots in report.html: drawn by jinja2" in ran.out
    assert "report.html: line" not in mismatches(ran)


def test_a_report_as_it_was_made_holds(run, folder):
    for command in (("report", "verify"), ("verify",)):
        ran = run(*command, str(folder))
        assert ran.code == 0, ran.out
        assert re.search(r"\d+ files and [\d,]{3,} numbers hold", ran.out)
    told = json.loads(run("report", "verify", str(folder), "--json").out)["result"]
    assert (told["mismatches"], told["not_checked"]) == ([], [])
    assert told["numbers"] > 300


def test_nobody_is_asked(run, folder, monkeypatch):
    monkeypatch.setattr(socket, "socket", lambda *_a, **_k: pytest.fail("a socket was opened"))
    monkeypatch.setattr("deploykit.cli.context.Context.catalog", property(lambda _: pytest.fail("the catalogue")))
    assert run("report", "verify", str(folder)).code == 0


def test_the_newest_report_is_meant_where_none_is_named(run, folder):
    (folder.parent / "latest").symlink_to(folder.name)
    assert run("report").code == 0
    assert run("report", "latest").code == 0
    assert run("report", "--markdown").out.startswith("###")
    assert run("report", "verify").code == 0
    assert run("report", "verify", "latest").code == 0


@pytest.mark.parametrize(
    ("name", "key", "path"),
    [
        ("report.json", "usd_per_m", "comparison.rates[0].usd_per_m"),
        ("report.json", "output_tokens_per_s", "measurements.stages[0].output_tokens_per_s"),
        ("report.json", "p50", "measurements.stages[0].ttft.p50"),
        ("report.json", "kv_gib", "plan.memory.kv_gib"),
        ("measurements.json", "requests", "stages[0].requests"),
        ("measurements.json", "input_tokens", "usage[0].input_tokens"),
        ("comparison.json", "usd_window", "rates[0].usd_window"),
    ],
)
def test_a_changed_digit_is_named_with_both_values(run, folder, name, key, path):
    before, after = another_digit(folder / name, key)
    found = mismatches(run("report", "verify", str(folder)))
    assert f"{name}: {path}: reported {after}, recomputed {before}".replace('"', "") in found.replace('"', "")
    assert f"{name}: sha256" in found


def test_each_number_of_a_report_is_compared(run, folder):
    """Any number, changed in any digit, is found: here each hundredth of all of them."""
    file = folder / "report.json"
    text = file.read_text()
    places = [m.start() for m in re.finditer(r"(?<=[ :\[\"])-?[0-9]+(?=[.,\n0-9])", text)]
    for place in places[:: max(1, len(places) // 12)]:
        digit = place + (text[place] == "-")
        file.write_text(f"{text[:digit]}{(int(text[digit]) + 1) % 10}{text[digit + 1 :]}")
        found = mismatches(run("report", "verify", str(folder)))
        named = [line for line in found.splitlines() if "report.json" in line and "sha256" not in line]
        assert named, (text[place - 40 : place + 20], found)


def test_a_changed_price_is_named_and_so_is_what_it_does(run, folder):
    another_digit(folder / "pricing.json", "usd_per_hour")
    found = mismatches(run("report", "verify", str(folder)))
    assert "pricing.json: sha256" in found
    assert "comparison.json: rates[0].usd_per_hour: reported" in found
    assert "report.json: comparison.rates[0].usd_per_m: reported" in found


@pytest.mark.parametrize(("key", "stage"), [("output_tokens", "tokens.output"), ("prompt_tokens", "tokens.input")])
def test_a_changed_sample_is_named_and_so_is_what_it_does(run, folder, key, stage):
    file = folder / "samples.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    middle = len(lines) // 2
    lines[middle] = re.sub(rf'"{key}":(\d+)', lambda m: f'"{key}":{int(m[1]) + 1}', lines[middle])
    file.write_text("".join(lines))
    found = mismatches(run("report", "verify", str(folder)))
    assert "samples.jsonl: sha256" in found
    every = json.loads(run("report", "verify", str(folder), "--json").out)["error"]["detail"]
    assert f"report.json: measurements.stages[0].{stage}: " in every
    assert "report.md: line" in every
    assert "report.html: line" in every


def test_a_text_that_was_touched_up_is_named_by_its_line(run, folder):
    for name in ("report.md", "report.html"):
        file = folder / name
        line = next(i for i, text in enumerate(file.read_text().split("\n"), 1) if "$" in text)
        change(file, "$", "$9")
        assert f"{name}: line {line}: reported" in mismatches(run("report", "verify", str(folder)))


def test_the_evidence_itself_is_held_against_what_a_comment_says(run, folder):
    told = json.loads(run("verify", str(folder), "--json").out)["result"]["evidence_sha256"]
    assert run("verify", str(folder), "--expect", told).code == 0
    assert run("verify", str(folder), "--expect", told[:12]).code == 0
    assert "evidence.json: sha256: reported 000000000000" in mismatches(
        run("verify", str(folder), "--expect", "0" * 12)
    )
    assert run("verify", str(folder), "--expect", "beef").code == 2


@pytest.mark.parametrize("name", ["samples.jsonl", "pricing.json", "report.json", "plan.json"])
def test_a_file_that_is_gone_is_named(run, folder, name):
    (folder / "target.json").touch()  # it stays a run's folder without its plan
    (folder / "target.json").write_text('{"base_url": "http://x", "model": "m"}')
    (folder / name).unlink()
    assert f"{name}: reported sha256" in mismatches(run("report", "verify", str(folder)))


def test_a_file_that_was_slipped_in_is_named(run, folder):
    (folder / "found.json").write_text("{}")
    assert "found.json: reported not in the evidence" in mismatches(run("report", "verify", str(folder)))


def test_a_file_of_the_bundle_is_held_against_the_manifest(run, folder):
    change(folder / "bundle/engine/config.yaml", "131072", "131073")
    found = mismatches(run("report", "verify", str(folder)))
    assert "bundle/manifest.json: files[0].sha256" in found
    assert "bundle/engine/config.yaml: sha256" in found


def test_with_json_a_mismatch_is_an_error_that_names_it(run, folder):
    another_digit(folder / "report.json", "usd_per_m")
    ran = run("report", "verify", str(folder), "--json")
    error = json.loads(ran.out)["error"]
    assert (ran.code, error["kind"], ran.err) == (20, "evidence", "")
    assert "comparison.rates[0].usd_per_m" in error["detail"]


def test_a_run_without_evidence_says_how_to_make_it(run):
    ran = run("report", "verify", str(make_folder().directory))
    assert ran.code == 10
    assert "deploykit report RUN" in ran.err


@pytest.mark.parametrize("content", ["{}", "[", '{"format": "deploykit/evidence/1", "basis": 1}'])
def test_damaged_evidence_is_one_error(run, folder, content):
    (folder / "evidence.json").write_text(content)
    ran = run("report", "verify", str(folder))
    assert ran.code == 10
    assert "evidence.json is damaged" in ran.err


def test_evidence_names_nothing_outside_its_folder(run, folder):
    change(folder / "evidence.json", '"path": "plan.json"', '"path": "../plan.json"')
    assert run("report", "verify", str(folder)).code == 10


def test_an_address_that_was_measured_has_evidence_too(run):
    store = make_folder("two")
    (store.directory / "plan.json").unlink()
    store.write("target.json", Target(base_url="http://127.0.0.1:8001", model="m"))
    assert run("report", "runs/two").code == 0
    assert run("report", "verify", "runs/two").code == 0
    before, after = another_digit(store.path("report.json"), "output_tokens_per_s")
    found = mismatches(run("report", "verify", "runs/two"))
    assert f"measurements.stages[0].output_tokens_per_s: reported {after}, recomputed {before}" in found


def test_repeated_runs_are_combined_again_from_their_samples(run):
    from deploykit.measuring.measure import measure
    from deploykit.measuring.repeating import combine

    store = make_folder()
    trials = [make_run(*(moved(0.1 * i, request=i) for i in range(60 + n))) for n in range(3)]
    for number, trial in enumerate(trials, 1):
        summary = trial.model_copy(update={"samples": (), "sample_count": len(trial.samples)})
        store.write(f"trials/0{number}/loadtest-run.json", summary)
        store.write_text(f"trials/0{number}/samples.jsonl", "".join(f"{s.model_dump_json()}\n" for s in trial.samples))
    save_found(store, Found(repeated=combine([measure(trial) for trial in trials])))
    assert run("report", str(store.directory)).code == 0
    assert run("report", "verify", str(store.directory)).code == 0
    another_digit(store.path("found.json"), "mean")
    found = mismatches(run("report", "verify", str(store.directory)))
    assert "found.json: repeated.stages[0].figures[0].mean: reported" in found


def test_an_archive_is_verified_anywhere_and_is_the_same_each_time(run, folder, tmp_path, monkeypatch):
    first, second = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    for out in (first, second):
        ran = run("report", "export", str(folder), str(out))
        assert ran.code == 0, ran.err
    assert first.read_bytes() == second.read_bytes()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("report", "verify", str(first)).code == 0
    assert list(Path().iterdir()) == []
    with tarfile.open(first) as tar:
        names = {name.removeprefix("one/") for name in tar.getnames()}
    assert {"evidence.json", "samples.jsonl", "pricing.json", "report.html"} <= names


def test_an_archive_holds_nothing_but_the_evidence(run, folder, tmp_path, monkeypatch):
    (folder / "logs").mkdir()
    (folder / "logs" / "ansible.log").write_text("sk-secret-1234567")
    (folder / "inventory.yml").write_text("all: {}")
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "sk-secret-1234567")
    out = tmp_path / "out.tar.gz"
    assert run("report", "export", str(folder), str(out)).code == 0
    with tarfile.open(out) as tar:
        assert not [name for name in tar.getnames() if "log" in name or "inventory" in name]


def test_what_holds_a_secret_is_not_exported(run, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "sk-secret-1234567")
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    first = json.loads(lines[0]) | {"error": "bad key sk-secret-1234567", "outcome": "http_error"}
    (folder / "samples.jsonl").write_text(json.dumps(first) + "\n" + "".join(lines[1:]))
    assert run("report", str(folder)).code == 0
    out = tmp_path / "out.tar.gz"
    ran = run("report", "export", str(folder), str(out))
    assert ran.code == 2
    assert "holds one of your secrets" in ran.err
    assert "sk-secret" not in ran.err
    assert not list(tmp_path.glob("*out.tar*"))


def test_changed_evidence_is_not_exported(run, folder, tmp_path):
    another_digit(folder / "report.json", "usd_per_m")
    ran = run("report", "export", str(folder), str(tmp_path / "out.tar.gz"))
    assert ran.code == 20
    assert "report.json is not what the evidence says" in ran.err


@pytest.mark.parametrize("out", ["evidence.zip", "evidence"])
def test_an_archive_has_its_ending(run, folder, out):
    assert run("report", "export", str(folder), out).code == 2


def member(name: str, data: bytes = b"x", **changes):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    for key, value in changes.items():
        setattr(entry, key, value)
    return entry, data


@pytest.mark.parametrize(
    "members",
    [
        [],
        [member("one/plan.json")],
        [member("../outside.json")],
        [member("/outside.json")],
        [member("one/link", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0)],
        [member("one/pipe", type=tarfile.FIFOTYPE, size=0)],
        [member("one/evidence.json", b"{}")],
    ],
)
def test_an_archive_that_is_none_of_ours_is_refused(run, tmp_path, members):
    import io

    file = tmp_path / "bad.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for entry, data in members:
            tar.addfile(entry, io.BytesIO(data))
    ran = run("report", "verify", str(file))
    assert ran.code == 10
    assert "Traceback" not in ran.err
    assert not (tmp_path / "outside.json").exists()


def test_an_archive_with_more_than_its_evidence_lists_is_refused(run, folder, tmp_path):
    out = tmp_path / "out.tar.gz"
    assert run("report", "export", str(folder), str(out)).code == 0
    import io

    with tarfile.open(out) as tar:
        members = [(entry, tar.extractfile(entry).read()) for entry in tar]
    with tarfile.open(out, "w:gz") as tar:
        for entry, data in [*members, member("one/extra.sh")]:
            tar.addfile(entry, io.BytesIO(data))
    ran = run("report", "verify", str(out))
    assert ran.code == 10
    assert "extra.sh" in ran.err


def test_a_file_that_is_no_archive_is_told_as_one(run, tmp_path):
    (tmp_path / "deploykit.yaml").write_text("model: x\n")
    ran = run("report", "verify", str(tmp_path / "deploykit.yaml"))
    assert ran.code == 2
    assert "is no archive of a report's evidence" in ran.err


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b broken", b"plain text"])
def test_a_damaged_archive_is_one_error(run, tmp_path, content):
    file = tmp_path / "bad.tar.gz"
    file.write_bytes(content)
    ran = run("report", "verify", str(file))
    assert ran.code == 10
    assert "damaged or no archive" in ran.err
