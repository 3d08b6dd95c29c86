"""Every shipped model on every shipped node plans, or says with numbers why not; and what it renders exists."""

import re

import pytest

from deploykit.errors import PlanningError
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan, smallest_that_fits
from deploykit.units import GIB
from tests.planning.builders import make_request, shipped, shipped_request

MODELS = shipped().names("models")
NODES = [name for name in shipped().names("nodes") if shipped().node(name).gpu is not None]
WORKLOADS = [name for name in shipped().names("workloads") if not shipped().workload(name).rehearsal_only]


def outcome(model: str, node: str, workload: str, nodes: int = 1) -> Plan | PlanningError:
    try:
        return plan(shipped_request(model, node, workload, nodes=nodes))
    except PlanningError as error:
        return error


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_on_every_node(model: str, node: str, workload: str) -> None:
    for nodes in (1, 2):
        made = outcome(model, node, workload, nodes)
        if isinstance(made, PlanningError):
            assert made.hint
            assert re.search(r"\d GiB|no open weights|unknown \(null\)", made.what), made.what
            continue
        check(made, node)


def check(made: Plan, node: str) -> None:
    gpu, memory = shipped().node(node).gpu, made.memory
    assert gpu is not None
    assert sum(line.gib for line in memory.lines) + memory.kv_gib == pytest.approx(memory.available_gib)
    assert memory.available_gib * GIB <= (gpu.reported_bytes or 0)
    assert memory.kv_gib > 0
    assert sum(part.gib for part in memory.lines[0].parts) == pytest.approx(memory.lines[0].gib)
    # vLLM starts: a request of `max-model-len` fits, beside the block it holds back.
    assert memory.engine is not None
    assert memory.engine.blocks > memory.engine.blocks_per_request
    assert memory.engine.blocks * memory.engine.block_bytes <= memory.kv_gib * GIB
    assert made.limits.concurrent_at_workload >= 1
    assert made.parallelism.gpus_per_engine * made.parallelism.replicas <= made.nodes * made.gpus_per_node
    engine = shipped().engine(made.engine)
    assert {c.setting for c in made.settings} <= set(shipped().flags(engine).flags)
    assert all(c.because and c.source for c in (*made.settings, *made.environment))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_that_can_be_served_has_machines_that_would_do(model: str) -> None:
    profile = shipped().model(model)
    request = shipped_request(model, NODES[0])
    found = smallest_that_fits(request, [shipped().node(name) for name in shipped().names("nodes")])
    assert bool(found) is profile.open_weights


@pytest.mark.parametrize("model", [m for m in MODELS if shipped().model(m).rehearsal])
def test_every_stand_in_is_planned(model: str) -> None:
    catalog = shipped()
    profile, engine = catalog.model(model), catalog.engine("vllm-0.32")
    assert profile.rehearsal is not None
    made = plan(
        make_request(
            profile=profile,
            stand_in=catalog.standin(profile.rehearsal),
            node=catalog.node("local"),
            workload=catalog.workload("rehearsal"),
            engine=engine,
            flags=catalog.flags(engine),
        )
    )
    assert (made.model, made.runtime, made.stand_in) == (model, "cpu", profile.rehearsal)
    assert {c.setting for c in made.settings} <= set(catalog.flags(engine).flags)
    assert made.limits.max_model_len >= 2048
