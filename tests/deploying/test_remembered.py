"""A plan beside what its engine said: the figures that both have, and how far the plan was off."""

import datetime as dt

import pytest

from deploykit.deploying.deployment import Deployment, EngineMemory
from deploykit.deploying.remembered import compared, key_of, last_time, remembered
from tests.planning.builders import shipped_plan

PLAN = shipped_plan("gpt-oss-120b", "h100-sxm-8x")
SAID = EngineMemory(kv_cache_tokens=900_000, gpu_blocks=140_000, block_size=16, max_concurrency=70.5, weights_gib=32.0)


def make_deployment(memory: EngineMemory = SAID) -> Deployment:
    return Deployment(
        bundle_digest="d", hosts=(), endpoint="http://x:1", served_model_name="m", engine_version="0.32.0",
        memory=memory, started_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), seconds=1,
    )  # fmt: skip


def test_figures_that_both_have_are_compared() -> None:
    found = remembered(PLAN, make_deployment())
    figures = {figure.name: figure for figure in compared(found)}
    assert set(figures) == {"weights, GiB", "KV tokens", "requests at once"}
    weights = figures["weights, GiB"]
    assert weights.actual == 32
    assert weights.off == pytest.approx(PLAN.memory.lines[0].gib / 32 - 1)
    assert str(weights) == "weights 32.00 GiB (30.36 planned, -5.1%)"


def test_a_later_plan_is_told() -> None:
    said = last_time(remembered(PLAN, make_deployment()), PLAN)
    assert said is not None
    assert said.startswith("last time here (2026-01-02, vLLM 0.32.0): weights 32.00 GiB (30.36 planned, -5.1%); ")


def test_other_limits_than_last_time_are_said() -> None:
    found = remembered(PLAN, make_deployment()).model_copy(update={"max_model_len": 4096})
    assert "with max-model-len 4,096" in (last_time(found, PLAN) or "")


def test_an_engine_that_said_nothing_is_not_spoken_of() -> None:
    assert last_time(remembered(PLAN, make_deployment(EngineMemory())), PLAN) is None


def test_a_start_alone_is_worth_remembering() -> None:
    found = remembered(PLAN, make_deployment(EngineMemory()).model_copy(update={"ready_s": 95.2}))
    assert last_time(found, PLAN) == "last time here (2026-01-02, vLLM 0.32.0): ready 95 s after its start"


def test_what_is_not_said_again_is_kept() -> None:
    before = remembered(PLAN, make_deployment().model_copy(update={"ready_s": 95.2}))
    ran_on = remembered(PLAN, make_deployment(EngineMemory(kv_cache_tokens=7))).after(before)
    assert (ran_on.actual.weights_gib, ran_on.actual.kv_cache_tokens, ran_on.ready_s) == (32.0, 7, 95.2)
    anew = remembered(PLAN, make_deployment(EngineMemory(weights_gib=1)).model_copy(update={"ready_s": 40.0}))
    assert (anew.after(before).actual.weights_gib, anew.after(before).ready_s) == (1, 40.0)


def test_a_plan_is_remembered_by_what_decides_its_memory() -> None:
    assert key_of(PLAN) == "gpt-oss-120b-mxfp4-h100-sxm-8x-4-x-tp2-0.32.0"
    other = PLAN.model_copy(update={"parallelism": PLAN.parallelism.model_copy(update={"tensor": 4})})
    assert key_of(other) != key_of(PLAN)
