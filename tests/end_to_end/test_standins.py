"""Every family's stand-in is really served, one after the other on one machine, under traffic of the operator's own."""

import json

import pytest

from deploykit import paths
from deploykit.effects.yaml_files import YamlCatalog

pytestmark = pytest.mark.rehearsal

CATALOG = YamlCatalog(paths.shipped("profiles"))
BLINK = """
title: A few seconds, to see that it serves
source: this test
as_of: 2026-11-23
prompt_tokens: {kind: fixed, tokens: 96}
output_tokens: {kind: fixed, tokens: 16}
warmup_s: 0
stages:
  - {kind: closed, users: 2, duration_s: 4}
slo: {ttft_s: 10, tpot_s: 2, share: 0.5}
ignore_eos: true
temperature: 0
rehearsal_only: true
"""


def one_model_per_stand_in():
    models = [CATALOG.model(name) for name in CATALOG.names("models")]
    chosen = {m.rehearsal: m.name for m in models if m.rehearsal}
    assert set(chosen) == set(CATALOG.names("standins")), "a stand-in that no model uses is not tested by anybody"
    return sorted(chosen.values())


@pytest.fixture(scope="module")
def with_profiles(user, tmp_path_factory):
    profiles = tmp_path_factory.mktemp("own profiles")
    (profiles / "workloads").mkdir()
    (profiles / "workloads" / "blink.yaml").write_text(BLINK)
    user.extra["DEPLOYKIT_PROFILES"] = str(profiles)
    return user


def pages_as_planned(plan, page_tokens):
    """Whether the engine has pages of the size that was planned with: on a CPU with AMX those of a latent are larger."""
    latent = any(group.kind == "latent" for group in CATALOG.standin(plan["stand_in"]).architecture.attention)
    build = CATALOG.engine(plan["engine"]).build("cpu")
    return not latent or page_tokens == build.paging.latent_page_tokens


@pytest.mark.parametrize("model", one_model_per_stand_in())
def test_the_stand_in_is_served_and_measured(with_profiles, model):
    arrived = with_profiles.json("up", model, "--workload", "blink")
    run = with_profiles.work / arrived["run"]
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert samples
    assert {s["outcome"] for s in samples} == {"ok"}
    assert {s["output_tokens"] for s in samples} == {16}
    measured = json.loads((run / "measurements.json").read_text())
    assert measured["reconciliation"]["difference"] == 0
    planned = json.loads((run / "plan.json").read_text())
    assert planned["stand_in"] == CATALOG.model(model).rehearsal
    actual = json.loads((run / "deployment.json").read_text())["memory"]
    foreseen = planned["memory"]["engine"]
    if pages_as_planned(planned, actual["block_size"]):
        assert foreseen["blocks"] == actual["gpu_blocks"]
        assert foreseen["kv_tokens"] == actual["kv_cache_tokens"]
    else:
        assert abs(foreseen["kv_tokens"] - actual["kv_cache_tokens"]) < actual["block_size"]
    assert abs(foreseen["max_concurrency"] - actual["max_concurrency"]) < 0.02
    shown = with_profiles.run("plan", model, "--workload", "blink")
    assert f"KV tokens {actual['kv_cache_tokens']:,}" in " ".join(shown.stdout.split())


def test_one_engine_is_left(with_profiles):
    (instance,) = with_profiles.json("status")["instances"]
    assert instance["state"] == "running"
    assert with_profiles.run("down").returncode == 0
    assert with_profiles.processes() == []
