"""Where requests come from: a trace's or the operator's own, the same in every process."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule import order
from sources import CannotReplay, Sources, which_prompt

from deploykit.catalog.own_prompts import OwnPrompts, PromptFacts
from deploykit.catalog.workload import ClosedLoop, OpenLoop, TraceReplay
from deploykit.effects.load_inputs import FileInputs
from deploykit.measuring.samples import LoadTestSpec
from tests.loadtests.builders import make_workload

TRACE = "".join(
    json.dumps({"timestamp": 100 * n, "input_length": 600 + n, "output_length": 5 + n, "hash_ids": [1, 2 + n % 2]})
    + "\n"
    for n in range(4)
)


def spec_of(workload, inputs: str | None = None) -> LoadTestSpec:
    return LoadTestSpec(base_url="http://x", model="m", workload=workload, inputs=inputs)


def test_a_trace_stage_has_the_traces_requests_and_other_stages_their_own(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(TRACE)
    stages = (OpenLoop(requests_per_s=5, duration_s=2), TraceReplay(file=str(tmp_path / "t"), duration_s=9, speed=2))
    workload = FileInputs().prepare(make_workload(stages=stages), tmp_path / "inputs")
    sources = Sources.read(spec_of(workload, "inputs"), tmp_path)
    trace = workload.stages[1]
    assert isinstance(trace, TraceReplay)
    assert list(sources.due(trace, 1)) == [1.0, 1.05, 1.1, 1.15]
    (wanted,) = sources.script(1, 3)
    assert (wanted.request, wanted.prompt_tokens, wanted.output_tokens) == (10_000_003, 603, 8)
    assert (wanted.whole_prompt_tokens, wanted.reusable_tokens, wanted.blocks) == (603, 603, (1, 3))
    assert sources.script(0, 3) == (order(workload, 3),)


def own(tmp_path: Path, **changes) -> Sources:
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "a", "max_tokens": 3}\n{"prompt": "b"}\n{"prompt": "c"}\n')
    workload = make_workload(
        stages=(ClosedLoop(users=1, duration_s=1),), own_prompts=OwnPrompts(file=str(file), **changes)
    )
    return Sources.read(spec_of(FileInputs().prepare(workload, None)), tmp_path)


def test_own_prompts_come_in_the_files_order_again_and_again(tmp_path: Path) -> None:
    sources = own(tmp_path)
    orders = [sources.script(0, number)[0] for number in range(5)]
    assert [wanted.own for wanted in orders] == [0, 1, 2, 0, 1]
    assert [wanted.output_tokens for wanted in orders] == [3, 20, 20, 3, 20]
    assert [wanted.request for wanted in orders] == [0, 1, 2, 3, 4]
    assert sources.own[1].messages == ({"role": "user", "content": "b"},)


@given(seed=st.integers(), stage=st.integers(0, 5), count=st.integers(1, 40), rounds=st.integers(1, 3))
def test_a_shuffled_order_sends_each_before_any_again(seed: int, stage: int, count: int, rounds: int) -> None:
    prompts = OwnPrompts(file="p", order="shuffled")
    sent = [which_prompt(prompts, seed, stage, number, count) for number in range(rounds * count)]
    for begin in range(0, len(sent), count):
        assert sorted(sent[begin : begin + count]) == list(range(count))
    assert set(Counter(sent).values()) == {rounds}


def test_a_shuffled_order_is_the_seeds() -> None:
    prompts = OwnPrompts(file="p", order="shuffled")
    one, again, other = ([which_prompt(prompts, seed, 0, n, 50) for n in range(50)] for seed in (1, 1, 2))
    assert one == again != other
    assert one != sorted(one)
    assert one != [which_prompt(prompts, 1, 0, n, 50) for n in range(50, 100)]


def test_a_file_that_is_gone_or_changed_is_said(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    facts = PromptFacts(sha256=hashlib.sha256(b"what it was").hexdigest(), prompts=1)
    workload = make_workload(own_prompts=OwnPrompts(file=str(file), facts=facts))
    with pytest.raises(CannotReplay, match="cannot be read"):
        Sources.read(spec_of(workload), tmp_path)
    file.write_text('{"prompt": "x"}\n')
    with pytest.raises(CannotReplay, match="changed since the load test began"):
        Sources.read(spec_of(workload), tmp_path)
