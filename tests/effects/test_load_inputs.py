"""Files that a load is replayed from: their facts, what a run's folder gets of them, and a run made again."""

import hashlib
import stat
from pathlib import Path

import pytest

from deploykit.catalog.traces import read_schedule
from deploykit.catalog.workload import ClosedLoop, OwnPrompts, TraceReplay, Workload
from deploykit.effects.load_inputs import FileInputs, anchored, of_run
from deploykit.errors import CatalogError
from tests.loadtests.builders import make_workload

TRACE = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n1,m,20,3,23,x\n3,m,30,4,34,x\n"
PROMPTS = '{"prompt": "one"}\n{"prompt": "two"}\n'


def trace(file: Path, **changes) -> Workload:
    stage = TraceReplay(**{"file": str(file), "duration_s": 60} | changes)
    return make_workload(stages=(ClosedLoop(users=1, duration_s=1), stage))


def test_a_trace_gets_its_facts_and_its_schedule_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRACE)
    made = FileInputs().prepare(trace(tmp_path / "t.csv"), tmp_path / "inputs").stages[1]
    assert isinstance(made, TraceReplay)
    assert made.facts is not None
    schedule = (tmp_path / "inputs" / "trace-1.jsonl").read_text()
    assert [request.prompt_tokens for request in read_schedule(schedule)] == [20, 30]
    assert (made.format, made.facts.name) == ("burstgpt", "t.csv")
    assert made.facts.sha256 == hashlib.sha256(TRACE.encode()).hexdigest()
    assert made.facts.schedule_sha256 == hashlib.sha256(schedule.encode()).hexdigest()


def test_looking_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRACE)
    FileInputs().prepare(trace(tmp_path / "t.csv"), None)
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


def test_a_run_is_made_again_from_its_own_files_though_the_trace_is_gone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRACE)
    first = FileInputs().prepare(trace(tmp_path / "t.csv", speed=2), tmp_path / "inputs")
    (tmp_path / "t.csv").unlink()
    again = FileInputs().prepare(of_run(first, tmp_path / "inputs"), tmp_path / "again")
    assert (tmp_path / "again" / "trace-1.jsonl").read_text() == (tmp_path / "inputs" / "trace-1.jsonl").read_text()
    assert again.stages[1].model_dump(exclude={"file"}) == first.stages[1].model_dump(exclude={"file"})


def test_a_schedule_that_was_changed_is_not_replayed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRACE)
    first = FileInputs().prepare(trace(tmp_path / "t.csv"), tmp_path / "inputs")
    (tmp_path / "inputs" / "trace-1.jsonl").write_text("")
    with pytest.raises(CatalogError, match="not what it was"):
        FileInputs().prepare(of_run(first, tmp_path / "inputs"), None)


def test_prompts_stay_where_they_are_unless_they_are_to_be_kept(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(PROMPTS)
    own = make_workload(own_prompts=OwnPrompts(file=str(file)))
    made = FileInputs().prepare(own, tmp_path / "inputs").own_prompts
    assert made is not None
    assert made.facts is not None
    assert (made.facts.prompts, made.facts.sha256) == (2, hashlib.sha256(PROMPTS.encode()).hexdigest())
    assert not (tmp_path / "inputs").exists()

    kept = make_workload(own_prompts=OwnPrompts(file=str(file), keep=True))
    first = FileInputs().prepare(kept, tmp_path / "inputs")
    copy = tmp_path / "inputs" / "prompts.jsonl"
    assert copy.read_text() == PROMPTS
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    file.write_text("changed")
    assert FileInputs().prepare(of_run(first, tmp_path / "inputs"), None).own_prompts is not None
    with pytest.raises(CatalogError, match="not what it was"):
        FileInputs().prepare(first, None)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "no such file"), (b"{}\n\xff", "not UTF-8"), (b"{}", "one of `prompt`")]
)
def test_a_file_that_cannot_be_used_is_one_error(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "p.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CatalogError, match=says) as error:
        FileInputs().prepare(make_workload(own_prompts=OwnPrompts(file=str(file))), None)
    assert str(file) in str(error.value)


def test_relative_files_begin_at_the_workloads_folder(tmp_path: Path) -> None:
    workload = trace(Path("t.csv")).model_copy(update={"own_prompts": OwnPrompts(file="../p.jsonl")})
    made = anchored(workload, tmp_path)
    assert isinstance(made.stages[1], TraceReplay)
    assert made.own_prompts is not None
    assert (made.stages[1].file, made.own_prompts.file) == (str(tmp_path / "t.csv"), f"{tmp_path}/../p.jsonl")
    whole = anchored(trace(Path("/elsewhere/t.csv")), tmp_path).stages[1]
    assert isinstance(whole, TraceReplay)
    assert whole.file == "/elsewhere/t.csv"
