"""The options that say what a load is replayed from: what they make of a workload, and what contradicts itself."""

from pathlib import Path

import pytest

from deploykit.catalog.workload import ClosedLoop, SharedPrefix, TraceReplay
from deploykit.cli.load_inputs import Replay, bounded, replaying
from tests.loadtests.builders import make_workload

NOTHING = Replay(None, None, None, None, None, None, shuffle=False, keep_prompts=False, fresh_prompts=False)


def given(**changes) -> Replay:
    return NOTHING._replace(**changes)


def made(replay: Replay, **more):
    workload = make_workload(shared_prefix=SharedPrefix(tokens=9, distinct=1), warmup_s=5)
    return replaying(workload, replay, **{"duration": None, "stages": False, "searches": False} | more)


def test_a_trace_takes_the_stages_place_and_is_measured_whole() -> None:
    workload = made(given(trace="a/t.csv", speed=2, requests=7, max_context=900, trace_format="azure"), duration=30)
    (stage,) = workload.stages
    assert isinstance(stage, TraceReplay)
    assert (stage.format, stage.speed, stage.duration_s, stage.max_requests) == ("azure", 2, 30, 7)
    assert (stage.file, stage.max_context_tokens) == (str(Path("a/t.csv").absolute()), 900)
    assert (workload.name, workload.warmup_s, workload.shared_prefix) == ("t.csv", 0, None)


def test_own_prompts_keep_the_stages() -> None:
    workload = made(given(prompts="p.jsonl", shuffle=True, keep_prompts=True, fresh_prompts=True))
    assert workload.own_prompts is not None
    assert (workload.own_prompts.order, workload.own_prompts.keep) == ("shuffled", True)
    assert (workload.shared_prefix, workload.fresh_prompts, workload.warmup_s) == (None, True, 5)
    assert workload.name == "p.jsonl-fresh"  # it is not what a plan of the other workload would be measured by
    assert isinstance(workload.stages[0], ClosedLoop)


def test_a_load_of_so_many_requests_has_no_warm_up() -> None:
    workload = bounded(make_workload(warmup_s=5), given(requests=9))
    assert (workload.stages[0].max_requests, workload.warmup_s) == (9, 0)
    assert bounded(workload, NOTHING) is workload


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--trace", "t", "--users", "2"], "--trace has its own arrivals"),
        (["--trace", "t", "--sweep", "users"], "--trace has its own arrivals"),
        (["--trace", "t", "--find-goodput"], "--trace has its own arrivals"),
        (["--trace", "t", "--prompts", "p"], "exclude each other"),
        (["--trace", "t", "--replay", "latest"], "--replay brings its own load"),
        (["--trace", "t", "--speed", "0"], "--speed 0 is not above zero"),
        (["--trace", "t", "--speed", "nan"], "--speed nan is not above zero"),
        (["--trace", "t", "--duration", "-1"], "--duration -1 is not above zero"),
        (["--trace", "t", "--trace-format", "har"], "it is one of mooncake, azure, burstgpt"),
        (["--speed", "2"], "--speed is about a trace"),
        (["--max-context", "2"], "--max-context is about a trace"),
        (["--shuffle"], "--shuffle is about prompts of your own"),
        (["--keep-prompts"], "--keep-prompts is about prompts of your own"),
        (["--requests", "5"], "--requests bounds one stage"),
    ],
)
def test_what_contradicts_itself_is_one_error(run, options: list[str], says: str) -> None:
    ran = run("loadtest", "http://127.0.0.1:9", "--model", "m", *options)
    assert ran.code == 2, ran.err
    assert says in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("--trace", None, "there is no such file"),
        ("--trace", "a,b\n1,2\n", "of no trace that is known"),
        ("--prompts", '{"prompt": 5}\n', "`prompt` is not text"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_command_before_anything_begins(
    run, tmp_path, name: str, content: str | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "f").write_text(content)
    ran = run("loadtest", "http://127.0.0.1:9", "--model", "m", name, str(tmp_path / "f"))
    assert ran.code == 3, ran.err
    assert says in ran.err
    assert not Path("runs").exists()
