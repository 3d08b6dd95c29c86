"""Planner cases: facts in, key numbers out, each sum worked by hand in its file."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploykit.errors import PlanningError
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest
from tests.planning.builders import shipped_request

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("file", CASES, ids=lambda f: f.stem)
def test_case(file: Path) -> None:
    case = yaml.safe_load(file.read_text(encoding="utf-8"))
    expect = case["expect"]
    request = request_of(case["shipped"])
    if "error" in expect:
        with pytest.raises(PlanningError) as caught:
            plan(request)
        assert expect["error"] in caught.value.what
        return
    made = plan(request)
    for layout, because in expect.pop("rejected", {}).items():
        assert because in next(r.because for r in made.rejected if str(r.layout) == layout)
    found = key_numbers(made)
    assert {key: found[key] for key in expect} == {key: close(value) for key, value in expect.items()}


def test_there_are_cases() -> None:
    assert len(CASES) >= 15


def request_of(case: dict[str, Any]) -> PlanRequest:
    request = shipped_request(case["model"], case["node"], case["workload"], nodes=case["nodes"])
    if "tpot_s" not in case:
        return request
    slo = request.workload.slo.model_copy(update={"tpot_s": case["tpot_s"]})
    return request.model_copy(update={"workload": request.workload.model_copy(update={"slo": slo})})


def key_numbers(made: Plan) -> dict[str, Any]:
    return {
        "layout": str(made.parallelism),
        "nodes_per_engine": made.parallelism.nodes_per_engine,
        "checkpoint": made.checkpoint.name,
        "weights_gib": made.memory.lines[0].gib,
        "kv_gib": made.memory.kv_gib,
        "kv_bytes_per_token": made.memory.kv_bytes_per_token,
        "bytes_per_sequence": made.memory.bytes_per_sequence,
        "kv_tokens": made.memory.kv_tokens,
        "max_model_len": made.limits.max_model_len,
        "max_num_seqs": made.limits.max_num_seqs,
        "caveats": [caveat.code for caveat in made.caveats],
    }


def close(value: object) -> object:
    """Numbers worked by hand stand to two places."""
    return pytest.approx(value, rel=1e-6, abs=0.006) if isinstance(value, float) else value
