"""The real locust against a paced server in a process of its own: clocks, faults, interruption."""

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deploykit.catalog.workload import ClosedLoop, Fixed, OpenLoop, OwnPrompts, TraceReplay
from deploykit.effects import locust_files
from deploykit.effects.load_inputs import FileInputs
from deploykit.effects.locust import LocustGenerator, read_samples
from deploykit.errors import Interrupted, LoadTestError, StorageError
from deploykit.measuring.samples import LoadTestSpec, RequestSample
from deploykit.workflows.ports import Progress
from tests.loadtests.builders import make_workload
from tests.loadtests.conftest import LOADTESTS
from tests.loadtests.servers import paced

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-not-to-be-seen"

pytestmark = pytest.mark.calibration


def spec_for(
    url: str, *stages: ClosedLoop | OpenLoop, timeout_s: float = 30, drain_s: float = 10, **workload: Any
) -> LoadTestSpec:
    made = make_workload(stages=stages, **workload)
    return LoadTestSpec(base_url=url, model="paced", workload=made, request_timeout_s=timeout_s, drain_s=drain_s)


def generate(spec: LoadTestSpec, folder: Path, seen: list[Progress] | None = None) -> tuple[RequestSample, ...]:
    on_progress = seen.append if seen is not None else lambda _: None
    _, samples = LocustGenerator(ROOT / "loadtests").run(spec, directory=folder, api_key=KEY, on_progress=on_progress)
    return samples


def test_closed_then_open_loop_on_known_timings(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with paced(ttft_s=0.2, itl_s=0.02) as url:
        spec = spec_for(
            url,
            ClosedLoop(users=3, duration_s=60, max_requests=9),
            OpenLoop(requests_per_s=10, duration_s=1.5, arrivals="constant"),
        )
        facts, samples = LocustGenerator(ROOT / "loadtests").run(
            spec, directory=tmp_path, api_key=KEY, on_progress=seen.append
        )
    assert {sample.outcome for sample in samples} == {"ok"}
    numbers = [*range(9), *range(10_000_000, 10_000_015)]  # 9, then 15 arrivals in 1.5 s
    assert sorted(sample.request for sample in samples) == numbers
    assert {(sample.prompt_tokens, sample.output_tokens) for sample in samples} == {(60, 20)}  # calibrated exactly
    ttft = statistics.median(one.first_token_s - one.intended_s for one in samples if one.first_token_s)
    assert 0.2 <= ttft < 0.24  # never early; a reader that waits for a full block is two gaps, 40 ms, late
    gaps = [
        after - before
        for one in samples
        for before, after in zip(one.token_events_s, one.token_events_s[1:], strict=False)
    ]
    assert statistics.median(gaps) == pytest.approx(0.02, abs=0.005)
    arrivals = sorted(one.intended_s for one in samples if one.stage == 1)
    assert arrivals[-1] - arrivals[0] == pytest.approx(1.4, abs=1e-4)  # the schedule, whatever the server did
    assert len(facts.stage_starts_s) == len(facts.stage_ends_s) == 2
    assert facts.calibration is not None
    assert (facts.calibration.method, facts.calibration.tokens_per_word) == ("tokenize", 1.5)
    assert facts.loop_lag_p99_s is not None
    assert seen[-1].finished == 24


def test_tokens_written_together_are_counted_as_coalesced(tmp_path: Path) -> None:
    with paced(ttft_s=0.05, itl_s=0.02, per_write=4) as url:
        samples = generate(spec_for(url, ClosedLoop(users=1, duration_s=30, max_requests=3)), tmp_path)
    assert [len(one.token_events_s) for one in samples] == [20, 20, 20]
    assert all(one.coalesced_events >= 15 for one in samples)  # three of each four, five times


@pytest.mark.parametrize(
    ("options", "outcome", "error"),
    [
        ({"fault": "truncate"}, "truncated", "without [DONE]"),
        ({"fault": "malformed"}, "truncated", "not JSON"),
        ({"fault": "error"}, "http_error", "EngineCore died"),
        ({"fault": "http_500"}, "http_error", "the engine is dead"),
        ({"fault": "reset"}, "connection_error", "Reset"),
        ({"fault": "hang"}, "timeout", "within 1 s"),
    ],
)
def test_every_fault_is_classified_and_none_dropped(
    tmp_path: Path, options: dict[str, Any], outcome: str, error: str
) -> None:
    with paced(itl_s=0.002, ttft_s=0.01, fault_every=2, **options) as url:
        stage = ClosedLoop(users=1, duration_s=60, max_requests=6)
        samples = generate(spec_for(url, stage, timeout_s=1), tmp_path)
    assert [one.outcome for one in samples] == ["ok", outcome] * 3
    assert all(error in (one.error or "") for one in samples if one.outcome != "ok")


def test_what_still_runs_after_the_drain_is_cut_off_and_recorded(tmp_path: Path) -> None:
    with paced(fault="hang") as url:
        samples = generate(spec_for(url, OpenLoop(requests_per_s=5, duration_s=1), drain_s=0.5), tmp_path)
    assert samples
    assert {one.outcome for one in samples} == {"cut_off"}


def test_without_tokenize_the_lengths_are_calibrated_by_usage(tmp_path: Path) -> None:
    with paced(tokenize=False, ttft_s=0.01, itl_s=0.001) as url:
        spec = spec_for(url, ClosedLoop(users=1, duration_s=30, max_requests=2), prompt_tokens=Fixed(tokens=200))
        facts, samples = LocustGenerator(ROOT / "loadtests").run(
            spec, directory=tmp_path, api_key=KEY, on_progress=lambda _: None
        )
    assert facts.calibration is not None
    assert (facts.calibration.method, facts.calibration.requests, facts.calibration.output_tokens) == ("usage", 2, 2)
    assert {one.prompt_tokens for one in samples} == {200}


def test_a_refused_key_is_one_sentence_and_is_written_nowhere(tmp_path: Path) -> None:
    with (
        paced(fault="http_401") as url,
        pytest.raises(LoadTestError, match=r"HTTP 401: Incorrect API key provided: \*\*\*"),
    ):
        generate(spec_for(url, ClosedLoop(users=1, duration_s=5)), tmp_path)
    assert all(KEY not in file.read_text() for file in tmp_path.iterdir())


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with paced() as url:
        pass
    with pytest.raises(LoadTestError, match="does not answer"):
        generate(spec_for(url, ClosedLoop(users=1, duration_s=5)), tmp_path)


def test_a_killed_locust_is_reported_with_what_it_had(tmp_path: Path) -> None:
    with paced(ttft_s=0.01, itl_s=0.001) as url:
        killer = threading.Thread(target=_when_sampled, args=(tmp_path, _kill_locust))
        killer.start()
        with pytest.raises(LoadTestError, match=r"was killed by signal 9; [1-9]\d* requests were recorded"):
            generate(spec_for(url, ClosedLoop(users=1, duration_s=60)), tmp_path)
        killer.join()


def test_ctrl_c_keeps_the_samples_and_leaves_no_locust(tmp_path: Path) -> None:
    with paced(ttft_s=0.01, itl_s=0.001) as url:
        presser = threading.Thread(target=_when_sampled, args=(tmp_path, lambda _: os.kill(os.getpid(), signal.SIGINT)))
        presser.start()
        with pytest.raises(Interrupted, match=r"[1-9]\d* requests are in"):
            generate(spec_for(url, ClosedLoop(users=1, duration_s=60)), tmp_path)
        presser.join()
    assert read_samples(tmp_path / "samples.jsonl")
    assert json.loads((tmp_path / "generator.json").read_text())["stopped_by"] == "signal"
    assert not _locusts(tmp_path)


def test_ctrl_c_just_as_locust_starts_leaves_no_locust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> Any:
        process = real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)  # before anybody has the process in hand
        time.sleep(0.1)
        return process

    with paced() as url:
        monkeypatch.setattr(subprocess, "Popen", popen)
        with pytest.raises(Interrupted, match="0 requests are in"):
            generate(spec_for(url, ClosedLoop(users=1, duration_s=60)), tmp_path)
    assert not _locusts(tmp_path)


def test_a_locust_whose_command_was_killed_ends_by_itself(tmp_path: Path) -> None:
    code = """
import json, sys
from pathlib import Path
from deploykit.effects import locust_files
from deploykit.effects.load_inputs import FileInputs
from deploykit.effects.locust import LocustGenerator
from deploykit.measuring.samples import LoadTestSpec
spec = LoadTestSpec.model_validate_json(sys.argv[2])
print(flush=True)
LocustGenerator(Path(sys.argv[3])).run(spec, directory=Path(sys.argv[1]), api_key=None, on_progress=lambda _: None)
"""
    with paced(ttft_s=0.01) as url:
        spec = spec_for(url, ClosedLoop(users=1, duration_s=60))
        arguments = [sys.executable, "-c", code, str(tmp_path), spec.as_json(), str(ROOT / "loadtests")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as command:
            assert command.stdout is not None
            command.stdout.readline()
            deadline = time.monotonic() + 30
            while not _locusts(tmp_path):  # it has just begun, and has not even looked who its parent is
                assert time.monotonic() < deadline
                time.sleep(0.01)
            command.kill()
        while _locusts(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_samples_that_cannot_be_written_are_a_matter_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locust_files, "clear", lambda _: None)
    (tmp_path / "samples-0.jsonl").symlink_to("/dev/full")
    with (
        paced(ttft_s=0.01, itl_s=0.001) as url,
        pytest.raises(StorageError, match=r"samples\.jsonl could not be written"),
    ):
        generate(spec_for(url, ClosedLoop(users=2, duration_s=60)), tmp_path)


def _when_sampled(folder: Path, act: Any) -> None:
    deadline = time.monotonic() + 30
    while not read_samples(folder / "samples-0.jsonl") and time.monotonic() < deadline:
        time.sleep(0.05)
    act(folder)


def _kill_locust(folder: Path) -> None:
    for pid in _locusts(folder):
        os.kill(pid, signal.SIGKILL)


def _locusts(folder: Path) -> list[int]:
    """Return the locust processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"locust" in (process / "cmdline").read_bytes() and (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def of_processes(url: str, count: int, *stages: ClosedLoop | OpenLoop, **more: Any) -> LoadTestSpec:
    return spec_for(url, *stages, **more).model_copy(update={"processes": count})


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_schedule_is_the_same_for_any_number_of_processes(tmp_path: Path, count: int) -> None:
    stages = (OpenLoop(requests_per_s=20, duration_s=2), ClosedLoop(users=5, duration_s=30, max_requests=20))
    with paced(ttft_s=0.02, itl_s=0.001) as url:
        spec = of_processes(url, count, *stages)
        facts, samples = LocustGenerator(ROOT / "loadtests").run(
            spec, directory=tmp_path, api_key=KEY, on_progress=lambda _: None
        )
    assert {sample.outcome for sample in samples} == {"ok"}
    assert {sample.worker for sample in samples} == set(range(count))
    start = facts.stage_starts_s[0]
    opened = {s.request: round(s.intended_s - start, 4) for s in samples if s.stage == 0}
    assert str(LOADTESTS) in sys.path
    from schedule import arrivals  # locust's modules find each other on the path

    due = [round(at, 4) for at in arrivals(stages[0], seed=spec.workload.seed, index=0)]
    assert [opened[number] for number in sorted(opened)] == due
    assert sorted(s.request for s in samples if s.stage == 1) == list(range(10_000_000, 10_000_020))
    assert [part.process for part in facts.of_processes] == list(range(count))
    assert not facts.lost
    assert sorted(p.name for p in tmp_path.glob("*.jsonl")) == ["samples.jsonl"]
    assert len(read_samples(tmp_path / "samples.jsonl")) == len(samples)


def test_a_lost_process_ends_the_run_and_keeps_what_every_process_measured(tmp_path: Path) -> None:
    def kill_one(folder: Path) -> None:
        worker = next(pid for pid in _locusts(folder) if b"--worker" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(worker, signal.SIGKILL)

    with paced(ttft_s=0.01, itl_s=0.001) as url:
        killer = threading.Thread(target=_when_sampled, args=(tmp_path, kill_one))
        killer.start()
        with pytest.raises(LoadTestError, match=r"one of 2 processes, was killed by signal 9; [1-9]\d* requests"):
            generate(of_processes(url, 2, ClosedLoop(users=4, duration_s=60)), tmp_path)
        killer.join()
    assert {sample.worker for sample in read_samples(tmp_path / "samples.jsonl")} == {0, 1}
    assert len(json.loads((tmp_path / "generator.json").read_text())["lost"]) == 1
    assert not _locusts(tmp_path)


def test_a_refused_key_ends_all_processes_with_one_sentence(tmp_path: Path) -> None:
    with paced(fault="http_401") as url, pytest.raises(LoadTestError, match="HTTP 401"):
        generate(of_processes(url, 2, ClosedLoop(users=2, duration_s=5)), tmp_path)
    assert not _locusts(tmp_path)


def test_ctrl_c_keeps_the_samples_of_all_processes(tmp_path: Path) -> None:
    with paced(ttft_s=0.01, itl_s=0.001) as url:
        presser = threading.Thread(target=_when_sampled, args=(tmp_path, lambda _: os.kill(os.getpid(), signal.SIGINT)))
        presser.start()
        with pytest.raises(Interrupted, match=r"[1-9]\d* requests are in"):
            generate(of_processes(url, 2, ClosedLoop(users=4, duration_s=60)), tmp_path)
        presser.join()
    assert {sample.worker for sample in read_samples(tmp_path / "samples.jsonl")} == {0, 1}
    assert not _locusts(tmp_path)


def prepared(tmp_path: Path, url: str, *stages: Any, count: int = 1, **workload: Any) -> LoadTestSpec:
    spec = of_processes(url, count, *stages, **workload)
    made = FileInputs().prepare(spec.workload, tmp_path / "inputs")
    return spec.model_copy(update={"workload": made, "inputs": "inputs"})


@pytest.mark.parametrize("count", [1, 3])
def test_a_trace_is_replayed_at_its_times_and_lengths_by_any_number_of_processes(tmp_path: Path, count: int) -> None:
    lines = [
        {"timestamp": at, "input_length": 300 + n, "output_length": 4 + n, "hash_ids": [7]}
        for n, at in enumerate((0, 0, 0, 400, 1600, 1600, 2400))
    ]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    trace = TraceReplay(file=str(tmp_path / "t.jsonl"), duration_s=60, speed=2)
    with paced(ttft_s=0.02, itl_s=0.001) as url:
        spec = prepared(tmp_path, url, trace, count=count)
        facts, samples = LocustGenerator(ROOT / "loadtests").run(
            spec, directory=tmp_path, api_key=KEY, on_progress=lambda _: None
        )
    assert {sample.outcome for sample in samples} == {"ok"}
    by_number = sorted(samples, key=lambda sample: sample.request)
    assert [s.request for s in by_number] == list(range(7))
    start = facts.stage_starts_s[0]
    assert [s.intended_s - start for s in by_number] == pytest.approx([1, 1, 1, 1.2, 1.8, 1.8, 2.2], abs=1e-6)
    assert [s.output_tokens for s in by_number] == [4, 5, 6, 7, 8, 9, 10]
    assert all(abs((s.prompt_tokens or 0) - 300 - n) <= 2 for n, s in enumerate(by_number))  # words of 1.5 tokens
    assert [s.reusable_tokens for s in by_number] == [0, *(301 + n for n in range(6))]
    assert {s.worker for s in samples} == set(range(count))


@pytest.mark.parametrize("fresh", [False, True])
def test_own_prompts_are_sent_and_are_in_no_file_of_the_run(tmp_path: Path, fresh: bool) -> None:
    secret = "an account number"
    folder = tmp_path / "run"
    folder.mkdir()
    lines = [{"prompt": secret}, {"messages": [{"role": "user", "content": f"{secret} a b c d"}], "max_tokens": 2}]
    (tmp_path / "p.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    own = OwnPrompts(file=str(tmp_path / "p.jsonl"))
    with paced(ttft_s=0.01, itl_s=0.001, fault="http_500", fault_every=5, echo=True) as url:
        stage = ClosedLoop(users=1, duration_s=60, max_requests=6)
        samples = generate(prepared(folder, url, stage, own_prompts=own, fresh_prompts=fresh), folder)
    by_number = sorted(samples, key=lambda sample: sample.request)
    assert [s.prompt for s in by_number] == [0, 1, 0, 1, 0, 1]
    assert [s.output_tokens for s in by_number if s.outcome == "ok"] == [20, 2, 20, 2, 2]
    lengths = {s.prompt_tokens for s in by_number if s.prompt == 0 and s.outcome == "ok"}
    plain = len(secret.split()) * 3 // 2 + 5
    assert lengths == ({plain + 24} if fresh else {plain})
    (refused,) = (s for s in by_number if s.outcome != "ok")
    assert refused.error == "HTTP 500; what the server said is withheld, as it may repeat the prompt"
    for file in folder.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


def test_prompts_that_change_under_way_are_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "a"}\n')
    with paced() as url:
        spec = prepared(tmp_path, url, ClosedLoop(users=1, duration_s=5), own_prompts=OwnPrompts(file=str(file)))
        file.write_text('{"prompt": "b"}\n')
        with pytest.raises(LoadTestError, match=r"p\.jsonl was changed since"):
            generate(spec, tmp_path)
