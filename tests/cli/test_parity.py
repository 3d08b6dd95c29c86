"""`deploykit parity`: what is found out about an offer is kept in the run, told by its reports, and part of their evidence."""

import json
from functools import partial
from pathlib import Path

import pytest

from deploykit.effects.run_store import RunStore
from deploykit.measuring.measurements import Interval
from deploykit.quality.results import PairedDifference, QualityResult, QualitySpec
from deploykit.reporting import html as page
from deploykit.workflows.report import Target, save_run
from tests.cli.test_verify import REQUESTS, make_folder
from tests.measuring.builders import make_run, moved
from tests.quality.builders import make_asked

OFFER = "baseten-deepseek-v4-flash"


@pytest.fixture(autouse=True)
def without_plots(monkeypatch):
    for name in ("html", "loadtest_html"):
        made = partial(getattr(page, name), draw=lambda _: ())
        monkeypatch.setattr(f"deploykit.workflows.remake.{name}", made)


@pytest.fixture
def ours(run):
    store = make_folder("ours")
    assert run("report", "ours").code == 0
    return store


def make_api(run, *, tokens: int) -> None:
    """A load test of an API that writes so many tokens more per answer."""
    store = RunStore(Path("runs") / "api")
    store.write("target.json", Target(base_url="http://api", model="m"))
    tested = make_run(*(moved(0.1 * i, request=i, output_tokens=tokens + i % 3) for i in range(REQUESTS)))
    save_run(store, tested)
    store.write_samples(tested.samples)
    assert run("report", "api").code == 0


def make_quality(low: float, high: float) -> None:
    spec = QualitySpec(
        tasks="t.jsonl", tasks_sha256="0" * 64, task_ids=("a",), runs=1,
        endpoints=(make_asked(), make_asked("api-1")),
    )  # fmt: skip
    difference = PairedDifference(
        ours="ours", theirs="api-1", tasks=200, difference=(low + high) / 2, interval=Interval(low=low, high=high)
    )
    folder = Path("quality")
    folder.mkdir()
    (folder / "spec.json").write_text(spec.as_json())
    made = QualityResult(spec=spec, complete=True, endpoints=(), differences=(difference,))
    (folder / "quality.json").write_text(made.as_json())


def rows(ran):
    assert ran.code == 0, ran.err
    one = next(each for each in json.loads(ran.out)["result"] if each["offer"] == OFFER)
    return {row["what"]: row["verdict"] for row in one["rows"]}, one["says"]


def test_a_report_says_what_was_never_measured_and_shows_published_scores(run, ours):
    told = run("report", "ours", "--markdown").out
    assert "Is it the same service?" in told
    assert "nothing but the price is known of it" in told
    assert "SWE-bench Verified" in told
    assert "None was run here" in told
    assert run("report", "verify", "ours").code == 0


def test_what_is_found_out_is_kept_and_told(run, ours):
    make_api(run, tokens=16)
    make_quality(-0.02, 0.03)
    verdicts, says = rows(run("parity", "ours", "--api", f"{OFFER}=api", "--tier", f"{OFFER}=batch", "--json"))
    assert verdicts["output tokens per request"] == "differs"
    assert verdicts["tier"] == "differs"
    assert verdicts["quality"] == "not measured"
    assert says.startswith("not comparable, because ")
    verdicts, _ = rows(run("parity", "ours", "--quality", f"{OFFER}=quality:api-1", "--json"))
    assert (verdicts["quality"], verdicts["tier"]) == ("match", "differs"), "what was known stays known"
    summary = run("report", "ours")
    assert summary.code == 0
    assert "is not comparable, because " in summary.out
    for name in ("report.md", "report.html"):
        told = Path("runs/ours", name).read_text()
        assert "not comparable, because " in told
        assert "output tokens per request: ours" in told
        assert "(not comparable)" in told, "beside the price"
    assert run("report", "verify", "ours").code == 0
    file = Path("runs/ours/parity.json")
    file.write_text(file.read_text().replace('"batch"', '"standard"', 1))
    assert run("report", "verify", "ours").code == 20


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--tier", "batch"), 2, "is not OFFER=standard"),
        (("--tier", f"{OFFER}=cheap"), 2, "is no tier"),
        (("--tier", "openai-gpt-5.4=batch"), 3, "is not compared with `openai-gpt-5.4`"),
        (("--api", f"{OFFER}=ours"), 3, "is of a deployment of ours"),
        (("--api", f"{OFFER}=nowhere"), 3, "there is no run"),
        (("--quality", f"{OFFER}=nowhere"), 3, "holds no results"),
        (("--quality", f"{OFFER}=quality:api-2"), 8, "0 differences between us and api-2"),
    ],
)
def test_wrong_arguments_are_one_error(run, ours, args, code, says):
    make_quality(-0.02, 0.03)
    ran = run("parity", "ours", *args)
    assert (ran.code, says in ran.err) == (code, True), ran.err
    assert not json.loads((ours.directory / "parity.json").read_text())["offers"]
