"""Workloads cut short are workloads, and keep what makes them what they are."""

import json

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
    assert [(stage.users, stage.duration_s) for stage in cut.stages] == [(16, 15), (128, 20)]
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


def test_a_whole_load_is_reckoned_from_its_first_send_to_its_last_token(load, tmp_path) -> None:
    samples = [
        {"outcome": "ok", "output_tokens": 11, "sent_s": 1.0, "first_token_s": 1.5, "last_token_s": 2.5},
        {"outcome": "ok", "output_tokens": 21, "sent_s": 2.0, "first_token_s": 3.0, "last_token_s": 5.0},
        {"outcome": "timeout", "output_tokens": None, "sent_s": 0.0, "first_token_s": None, "last_token_s": None},
    ]
    (tmp_path / "s").write_text("".join(json.dumps(one) + "\n" for one in samples))
    # 32 tokens in the 4 s from 1.0 to 5.0; (0.5 + 1.0) / 2; 1 s / 10 and 2 s / 20
    assert load.whole(tmp_path / "s") == pytest.approx(
        {
            "requests": 2,
            "output_tokens_per_s": 8,
            "ttft_mean_s": 0.75,
            "ttft_p50_s": 0.75,
            "tpot_mean_s": 0.1,
            "tpot_p50_s": 0.1,
        }
    )
