"""Workloads cut short are workloads, and keep what makes them what they are."""

import pytest
import yaml

from deploykit.catalog.workload import Workload
from tests.benchmarks.gpu.conftest import ROOT


@pytest.fixture
def load(script):
    return script("load")


@pytest.mark.parametrize("name", ["chat", "coding-agent"])
def test_a_short_workload_keeps_lengths_reuse_and_limits(load, name) -> None:
    whole = yaml.safe_load((ROOT / "profiles" / "workloads" / f"{name}.yaml").read_text())
    cut = Workload.model_validate({"name": "short", **load.short(whole, load.closed((16, 128), 20))})
    assert [(stage.users, stage.duration_s) for stage in cut.stages] == [(16, 25), (128, 20)]
    assert cut.output_tokens.high == load.LONGEST_ANSWER
    assert "cut short" in cut.title
    for kept in ("prompt_tokens", "shared_prefix", "sessions", "slo", "seed", "temperature"):
        assert cut.model_dump()[kept] == Workload.model_validate({"name": "w", **whole}).model_dump()[kept]


def test_open_stages_are_stages_too(load) -> None:
    whole = yaml.safe_load((ROOT / "profiles" / "workloads" / "chat.yaml").read_text())
    cut = Workload.model_validate({"name": "short", **load.short(whole, load.opened((1.23456, 2.0), 20))})
    assert [stage.requests_per_s for stage in cut.stages] == [1.235, 2.0]


def test_the_cross_checks_load_is_a_workload(load) -> None:
    made = Workload.model_validate(
        {"name": "bench", **load.bench_workload(load.Fixed(users=32, requests=128, prompt=1024, answer=256))}
    )
    assert made.stages[0].max_requests == 128
