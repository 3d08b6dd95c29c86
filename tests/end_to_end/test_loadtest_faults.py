"""Servers that misbehave, under the whole command: the right outcome, one clear error, and nothing measured is lost."""

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.loadtests import Ended, give_workload, loadtest, locusts, newest, no_key_in, seen_in, work_in
from tests.loadtests.servers import paced

pytestmark = pytest.mark.calibration

FAST = {"ttft_s": 0.02, "itl_s": 0.002}
Start = Callable[..., "subprocess.Popen[str]"]
QUICK = ("--model", "paced", "--workload", "quick")


@pytest.fixture(autouse=True)
def quick(user: Any, tmp_path: Path) -> None:
    give_workload(user, "quick")
    work_in(user, tmp_path)


@pytest.fixture
def start(user: Any) -> Iterator[Start]:
    """Start `deploykit loadtest`; it does not outlive its test, and its load generator ends with it."""
    started: list[subprocess.Popen[str]] = []

    def go(url: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        command = [str(user.program), "loadtest", url, "--model", "paced", "--no-certificate", *arguments]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(
                command, cwd=user.work, env=user.environment, stdout=pipe, stderr=pipe, text=True, **options
            )
        )
        return started[-1]

    yield go
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("fault", "outcome", "error"),
    [
        ("http_429", "http_error", "too many requests"),
        ("http_500", "http_error", "the engine is dead"),
        ("http_503", "http_error", "no server is available"),
        ("error", "http_error", "EngineCore died"),
        ("reset", "connection_error", "ConnectionResetError"),
        ("garbage", "connection_error", "HTTPParseError"),
        ("truncate", "truncated", "without [DONE]"),
        ("malformed", "truncated", "not JSON"),
    ],
)
def test_some_requests_fail(user: Any, fault: str, outcome: str, error: str) -> None:
    with paced(fault=fault, fault_every=4, **FAST) as url:
        ran = loadtest(user, url, *QUICK)
    assert ran.code == 0, ran.err
    assert ran.outcomes() == {outcome: 5, "ok": 15}
    assert all(error in (sample.error or "") for sample in ran.samples if sample.outcome != "ok")
    assert (ran.measured["verdict"], ran.caveats()["failures"]) == ("INVALID", "invalid")
    assert "Load test INVALID" in ran.said
    assert f"5 of 20 requests failed (25.0%), 5 of them with `{outcome}`" in ran.said
    assert ran.measured["stages"][0]["failures"] == {outcome: 5}


@pytest.mark.parametrize(
    ("fault", "says"),
    [("http_429", "too many requests"), ("http_500", "the engine is dead"), ("http_503", "no server is available")],
)
def test_all_requests_fail(user: Any, fault: str, says: str) -> None:
    with paced(fault=fault, **FAST) as url:
        ran = loadtest(user, url, *QUICK)
    assert ran.code == 7
    assert "none of 20 requests was answered" in ran.err
    assert says in ran.err
    assert str(ran.folder.name) in ran.err, "where the samples are is said"
    assert ran.outcomes() == {"http_error": 20}
    assert ran.user.run("report", ran.folder.name).returncode == 0, "a report of them can still be made"


def test_a_model_that_is_not_there(user: Any) -> None:
    with paced(**FAST) as url:
        ran = loadtest(user, url, "--model", "nosuch", "--workload", "quick")
    assert ran.code == 7
    assert "HTTP 404: The model `nosuch` does not exist." in ran.err


def test_a_refused_key(user: Any) -> None:
    with paced(fault="http_401", **FAST) as url:
        named, asked = loadtest(user, url, *QUICK), loadtest(user, url, "--workload", "quick")
    assert (named.code, asked.code) == (7, 7)
    assert "HTTP 401: Incorrect API key provided: ***" in named.err
    assert "the key in DEPLOYKIT_API_KEY is not one it knows" in asked.err
    assert no_key_in(user.work)


def test_nobody_at_the_address(user: Any) -> None:
    with paced() as url:
        pass
    ran = loadtest(user, url, *QUICK)
    assert ran.code == 7
    assert "does not answer" in ran.err


def test_a_stall_is_in_the_percentiles_of_an_open_loop(user: Any) -> None:
    """A frozen server is not asked in a closed loop, and so it looks fast; callers do not wait for each other."""
    give_workload(
        user, "open", stages=[{"kind": "open", "requests_per_s": 20, "arrivals": "constant", "duration_s": 12}]
    )
    give_workload(user, "closed", stages=[{"kind": "closed", "users": 1, "duration_s": 12}])
    found = {}
    for name in ("open", "closed"):
        # In the second half: what is slow in the first may be taken for the way to the steady state, which is told as a doubt.
        with paced(fault="freeze", fault_every=160, stall_s=2, **FAST) as url:
            ran = loadtest(user, url, "--model", "paced", "--workload", name)
        assert ran.code == 0
        assert set(ran.outcomes()) == {"ok"}
        found[name] = ran.measured["stages"][0]["ttft"]
    # 40 of 240 requests came while nothing was answered: they waited from 2 s down to nothing
    assert found["open"]["p50"] < 0.5
    assert found["open"]["p90"] > 0.5
    assert found["open"]["p95"] > 1.0
    assert found["open"]["max"] > 1.9
    # one request of the only user, whose p95 knows nothing of it
    assert found["closed"]["p95"] < 0.5
    assert found["closed"]["max"] > 1.9


def test_an_answer_that_pauses_is_in_the_latencies(user: Any) -> None:
    with paced(fault="stall", stall_s=2, fault_every=20, **FAST) as url:
        ran = loadtest(user, url, *QUICK)
    assert ran.code == 0
    assert ran.measured["stages"][0]["itl"]["max"] > 1.9
    assert ran.measured["stages"][0]["e2e"]["max"] > 1.9
    assert ran.measured["stages"][0]["good_requests"] == 20, "2 s over 19 gaps are within 0.2 s a token"


def test_usage_that_cannot_be_true(user: Any) -> None:
    with paced(fault="wrong_usage", fault_every=4, **FAST) as url:
        ran = loadtest(user, url, *QUICK)
    assert ran.code == 0
    assert (ran.outcomes(), ran.measured["verdict"]) == ({"ok": 20}, "INVALID")
    assert ran.caveats()["usage-missing"] == "invalid"


def test_usage_that_the_engines_counters_contradict(user: Any) -> None:
    with paced(fault="double_usage", **FAST) as url:
        ran = loadtest(user, url, *QUICK)
    assert ran.code == 0
    assert (ran.outcomes(), ran.measured["verdict"]) == ({"ok": 20}, "INVALID")
    assert ran.caveats()["token-ledger"] == "invalid"


def test_a_server_that_starts_anew(user: Any, start: Start) -> None:
    give_workload(user, "long", stages=[{"kind": "open", "requests_per_s": 10, "duration_s": 10}])
    with paced(**FAST) as url:
        port = int(url.rpartition(":")[2])
        loadtest(user, url, *QUICK)  # so that its counters are ahead of those of the one that takes its place
        started = start(url, "--workload", "long")
        _wait(lambda: _recorded(user) > 20, started)
    time.sleep(0.5)  # nobody is there
    with paced(port=port, **FAST):
        ran = _end(user, started)
    assert ran.code == 0, ran.err
    outcomes = ran.outcomes()
    assert outcomes["ok"] > 40
    assert outcomes["connection_error"] >= 1
    assert (ran.measured["verdict"], ran.caveats()["token-ledger"]) == ("INVALID", "invalid")
    assert "the engine counted less than it answered" in ran.said


def test_ctrl_c(user: Any, start: Start) -> None:
    give_workload(user, "endless", stages=[{"kind": "closed", "users": 2, "duration_s": 120}])
    with paced(**FAST) as url:
        started = start(url, "--workload", "endless", "--processes", "2")
        _wait(lambda: _recorded(user) > 20, started)
        assert len(locusts(user)) == 3
        started.send_signal(signal.SIGINT)
        ran = _end(user, started)
    assert ran.code == 130
    assert f"{len(ran.samples)} requests are in " in ran.err
    assert set(ran.outcomes()) <= {"ok", "cut_off"}
    assert ran.outcomes()["ok"] > 20
    assert not locusts(user)


def test_ctrl_c_in_a_sweep_keeps_the_loads_that_were_measured(user: Any, start: Start) -> None:
    with paced(**FAST) as url:
        started = start(url, "--workload", "quick", "--sweep", "users", "--duration", "3")
        _wait(lambda: seen_in(newest(user), "trials/02/samples-*.jsonl"), started)
        started.send_signal(signal.SIGINT)
        ran = _end(user, started)
    assert ran.code == 130
    assert {sample.stage for sample in ran.samples} == {0}
    assert (ran.folder / "trials/02/samples.jsonl").stat().st_size, "and what the broken one had is there too"
    assert user.run("report", ran.folder.name).returncode == 0


def test_a_killed_process(user: Any, start: Start) -> None:
    give_workload(user, "endless", stages=[{"kind": "closed", "users": 2, "duration_s": 120}])
    with paced(**FAST) as url:
        started = start(url, "--workload", "endless", "--processes", "2")
        _wait(lambda: _recorded(user) > 20, started)
        next(process for process in locusts(user) if "--worker" in process.cmdline()).kill()
        ran = _end(user, started)
    assert ran.code == 7
    assert "one of 2 processes, was killed by signal 9" in ran.err
    assert {sample.worker for sample in ran.samples} == {0, 1}
    assert not locusts(user)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems kill what writes beyond the limit")
def test_a_full_disk(user: Any, start: Start) -> None:
    give_workload(user, "endless", stages=[{"kind": "closed", "users": 2, "duration_s": 120}])
    most = 40_000

    def few_bytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    with paced(**FAST) as url:
        started = start(url, "--workload", "endless", preexec_fn=few_bytes)
        ran = _end(user, started)
    assert ran.code == 10, ran.err
    assert "samples.jsonl cannot be written: File too large" in ran.err
    kept = (ran.folder / "samples-0.jsonl").read_text().splitlines()[:-1]
    assert len(kept) > 20
    assert all(json.loads(line)["outcome"] == "ok" for line in kept)
    assert not locusts(user)


def _end(user: Any, started: "subprocess.Popen[str]") -> Ended:
    out, err = started.communicate(timeout=120)
    assert "Traceback" not in err, err
    return Ended(user, started.returncode, out, err)


def _recorded(user: Any) -> int:
    """How many requests the newest run has recorded."""
    return min((file.read_text().count("\n") for file in newest(user).glob("samples-*.jsonl")), default=0)


def _wait(until: Callable[[], bool], started: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert started.poll() is None, started.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
