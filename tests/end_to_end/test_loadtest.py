"""`deploykit loadtest` from end to end on servers whose times and capacity are known."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.loadtests import give_workload, loadtest, locusts, no_key_in, work_in
from tests.loadtests.servers import paced

pytestmark = pytest.mark.calibration

FAST = {"ttft_s": 0.02, "itl_s": 0.002}
"""An answer of 20 tokens takes 0.058 s."""
SLOW = {"ttft_s": 0.4, "itl_s": 0.0105}
"""It takes 0.6 s: a generator that a busy machine makes late by tens of milliseconds still measures the server."""


@pytest.fixture(autouse=True)
def quick(user: Any, tmp_path: Path) -> None:
    give_workload(user, "quick")
    work_in(user, tmp_path)


def test_the_only_model_is_taken_and_the_client_is_certified(user: Any) -> None:
    with paced(**FAST) as url:
        ran = loadtest(user, url + "/v1", "--workload", "quick", "--processes", "2", certificate=True)
    assert ran.code == 0, ran.err
    assert ran.outcomes() == {"ok": 20}
    facts = json.loads((ran.folder / "loadtest-run.json").read_text())["generator"]
    certificate = facts["certificate"]
    assert (certificate["streams"], certificate["processes"], facts["uncertified"]) == (2, 2, None)
    # it is printed before the load, and reported beside the validity
    said = ran.err.index("this client adds ")
    assert said < ran.err.index("requests answered")
    assert "ms to ITL p99 at 2 streams" in ran.err
    assert "not-certified" not in ran.caveats()
    for name in ("report.md", "report.html"):
        text = (ran.folder / name).read_text()
        assert "This client adds " in text
        assert "Generator adds to TTFT / ITL, p99" in text
    assert "This client adds " in ran.out
    assert not locusts(user)
    assert no_key_in(user.work)


def test_a_client_that_adds_more_than_the_slos_share_is_invalid(user: Any) -> None:
    give_workload(user, "strict", slo={"ttft_s": 0.0001, "share": 0.9})  # of which 2 % are 2 us
    with paced(**FAST) as url:
        ran = loadtest(user, url, "--workload", "strict", certificate=True)
    assert ran.code == 0, ran.err
    assert (ran.measured["verdict"], ran.caveats()["certificate"]) == ("INVALID", "invalid")
    assert "of the SLO's limit of 0.1 ms, where 2% are allowed" in ran.said


def test_without_a_certificate_the_report_says_so(user: Any) -> None:
    with paced(**FAST) as url:
        ran = loadtest(user, url, "--workload", "quick", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["result"]["load"]["generator"]["certificate"] is None
    assert ran.caveats()["not-certified"] == "note"
    assert "not certified" in (ran.folder / "report.md").read_text()
    assert "not certified" in (ran.folder / "report.html").read_text()


def test_a_sweep_stops_when_the_server_is_full(user: Any) -> None:
    with paced(slots=4, **SLOW) as url:  # an answer takes 0.6 s: 6.7 requests/s and no more
        ran = loadtest(
            user, url, "--workload", "quick", "--slo", "ttft=10", "--sweep", "users", "--to", "64", "--duration", "6"
        )
    assert ran.code == 0, ran.err
    found = json.loads((ran.folder / "found.json").read_text())["sweep"]
    assert found["stopped"] == "saturated", found["says"]
    loads = [point["load"] for point in found["points"]]
    assert loads == [1, 2, 4, 8, 16][: len(loads)]
    assert len(loads) >= 4, "at two loads beyond four users nothing was gained"
    most = max(point["output_tokens_per_s"] for point in found["points"])
    assert 100 < most < 4 * 20 / 0.6 * 1.1
    assert "The knee is at" in ran.out
    assert (ran.folder / "samples.parquet").stat().st_size
    assert user.run("report", ran.folder.name).returncode == 0


def test_goodput_of_a_server_of_known_capacity(user: Any) -> None:
    # eighty answers of 0.5 s at once: 160 requests/s, less what the server itself takes for each
    give_workload(user, "short", output_tokens={"kind": "fixed", "tokens": 2}, slo={"ttft_s": 1, "share": 0.9})
    with paced(slots=80, ttft_s=0.499, itl_s=0.001) as url:
        ran = loadtest(
            user, url, "--workload", "short", "--find-goodput", "--from", "80", "--to", "320", "--duration", "5"
        )
    assert ran.code == 0, ran.err
    found = json.loads((ran.folder / "found.json").read_text())["goodput"]
    if "could not keep up" in found["why"]:
        pytest.skip("this machine is too busy to send 80 requests/s on time, and the search says so")
    assert found["outcome"] == "found", found
    assert 60 <= found["lower"] < found["upper"] <= 200, found
    assert "Goodput: " in ran.out


def test_goodput_that_cannot_be_told_is_unresolved(user: Any) -> None:
    # every other request fails, whatever the rate: the share is neither reached nor missed
    give_workload(user, "half", output_tokens={"kind": "fixed", "tokens": 2}, slo={"ttft_s": 5, "share": 0.5})
    with paced(fault="http_429", fault_every=2, ttft_s=0.001, itl_s=0.001) as url:
        ran = loadtest(
            user, url, "--workload", "half", "--find-goodput", "--from", "100", "--to", "120", "--duration", "3"
        )
    assert ran.code == 0, ran.err
    assert json.loads((ran.folder / "found.json").read_text())["goodput"]["outcome"] == "unresolved"
    assert "Goodput: unresolved: " in ran.out


def test_three_runs_have_an_interval_over_the_runs(user: Any) -> None:
    with paced(**SLOW) as url:
        ran = loadtest(user, url, "--workload", "quick", "--runs", "3")
    assert ran.code == 0, ran.err
    found = json.loads((ran.folder / "found.json").read_text())["repeated"]
    assert found["runs"] == 3
    figure = next(one for one in found["stages"][0]["figures"] if one["name"] == "ttft.p50")
    assert len(figure["values"]) == 3
    assert figure["interval"]["low"] < figure["mean"] < figure["interval"]["high"]
    assert "3 runs: " in ran.out
    assert "TTFT p50" in ran.out
    kept = [folder / "samples.jsonl" for folder in sorted((ran.folder / "trials").iterdir())]
    assert sum(file.is_file() for file in kept) == 3, "each run of its own, so that all can be made again"
    assert "Repeated runs" in (ran.folder / "report.md").read_text()


def test_a_run_is_made_again(user: Any) -> None:
    with paced(**FAST) as url:
        first = loadtest(user, url, "--workload", "quick")
        before = {sample.request: sample.wanted_output_tokens for sample in first.samples}
        again = loadtest(user, url, "--replay", first.folder.name)
    assert again.code == 0, again.err
    assert {sample.request: sample.wanted_output_tokens for sample in again.samples} == before
    assert again.folder.name != first.folder.name
