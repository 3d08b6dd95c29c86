"""The order of effects on the road, and what is kept when a stage fails."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploykit import paths
from deploykit.deploying.remembered import key_of, last_time
from deploykit.effects.memories import FileMemories
from deploykit.effects.records import Records
from deploykit.effects.run_store import RunStores
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import DeploymentError, Interrupted, LoadTestError
from deploykit.intent import Intent
from deploykit.workflows.planning import make_plan
from deploykit.workflows.target import this_machine
from deploykit.workflows.up import up
from deploykit.workflows.world import World

_spec = importlib.util.spec_from_file_location("workflow_fakes", Path(__file__).with_name("fakes.py"))
fakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fakes)

CATALOG = YamlCatalog(paths.shipped("profiles"))
INTENT = Intent(model="deepseek-v4-flash", node="local", engine="vllm-0.32")
PLANNED = make_plan(CATALOG, INTENT, set_settings={}, nodes=1)


@pytest.fixture
def world(tmp_path):
    return World(
        playbooks=fakes.FakePlaybooks(),
        generator=fakes.FakeGenerator(),
        metrics=fakes.FakeMetrics(),
        clock=fakes.FakeClock(),
        reporter=fakes.FakeReporter(),
        runs=RunStores(tmp_path / "runs"),
        records=Records(tmp_path / "data"),
        profiles=paths.shipped("profiles"),
        secrets={"VLLM_API_KEY": "sk-secret"},
        versions={"deploykit": "test"},
    )


@pytest.fixture
def go(world, tmp_path):
    target = this_machine(tmp_path / "data", sys.executable)
    return lambda world=world, again=False: up(PLANNED, INTENT, target, CATALOG, world, again=again)


def test_the_road_leaves_every_value_as_a_file(go, world):
    arrival = go()
    assert arrival.report is not None
    assert arrival.deployment.memory.kv_cache_tokens == 310_656
    for name in (
        "plan.json",
        "bundle/manifest.json",
        "deployment.json",
        "measurements.json",
        "comparison.json",
        "report.json",
        "report.md",
        "report.html",
    ):
        assert (arrival.run / name).is_file(), name
    ((spec, key),) = world.generator.specs
    assert spec.base_url == "http://127.0.0.1:8001"
    assert key == "sk-secret"
    assert json.loads((arrival.run / "measurements.json").read_text())["reconciliation"]["difference"] == 0


def test_a_second_up_goes_on_in_the_same_run_and_does_not_measure(go, world):
    first, second = go(), go()
    assert second.report is None
    assert second.run.resolve() == first.run.resolve()
    assert not second.deployment.changed
    assert len(world.generator.specs) == 1


def test_again_measures_in_a_new_run(go, world):
    first, second = go(), go(again=True)
    assert second.report is not None
    assert second.run.resolve() != first.run.resolve()
    assert len(world.generator.specs) == 2


def test_a_run_that_failed_to_measure_is_measured_by_the_next_up(go, world):
    with pytest.raises(LoadTestError):
        go(world=replace(world, generator=fakes.FakeGenerator(broken=True)))
    arrival = go()
    assert arrival.report is not None
    assert len(world.generator.specs) == 1


def test_a_failed_task_is_one_error_and_no_load(go, world):
    with pytest.raises(DeploymentError) as caught:
        go(world=replace(world, playbooks=fakes.FakePlaybooks(failure="engine-0 died")))
    assert "engine-0 died" in caught.value.what
    assert "last line" in str(caught.value.detail)
    assert world.generator.specs == []


def test_ctrl_c_while_provisioning_stops_what_was_starting(go, world):
    playbooks = fakes.FakePlaybooks(interrupt=True)
    with pytest.raises(Interrupted):
        go(world=replace(world, playbooks=playbooks))
    assert [name for name, _v, _s in playbooks.ran] == ["site.yml", "teardown.yml"]


def test_counters_out_of_reach_are_a_doubt_and_no_failure(go, world):
    arrival = go(world=replace(world, metrics=fakes.FakeMetrics(dark=True)))
    assert arrival.report is not None
    measured = json.loads((arrival.run / "measurements.json").read_text())
    assert measured["reconciliation"]["engine"] is None
    assert measured["caveats"]


def test_no_file_and_no_variable_holds_a_secret(go, world, tmp_path):
    go()
    for _name, variables, secrets in world.playbooks.ran:
        assert secrets == {"VLLM_API_KEY": "sk-secret"}
        assert "sk-secret" not in json.dumps(variables, default=str)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"sk-secret" not in file.read_bytes(), file
    assert "sk-secret" not in repr(world)


def test_what_the_engine_says_of_its_memory_is_kept_beside_the_plan(go, world, tmp_path):
    memories = FileMemories(tmp_path / "data")
    go(replace(world, memories=memories))
    found = memories.find(key_of(PLANNED.plan))
    assert found.actual.kv_cache_tokens == 310_656
    assert found.planned.kv_cache_tokens == PLANNED.plan.memory.engine.kv_tokens
    assert any("KV tokens 310,656" in note for note in world.reporter.lines)
    assert "last time here (2026-" in last_time(found, PLANNED.plan)


def test_an_engine_left_running_does_not_say_its_weights_again(go, world, tmp_path):
    memories = FileMemories(tmp_path / "data")
    world = replace(world, memories=memories)
    go(world)
    first = memories.find(key_of(PLANNED.plan))
    said = first.model_copy(update={"actual": first.actual.model_copy(update={"weights_gib": 20.3})})
    memories.save(said)
    go(world)
    assert memories.find(said.key).actual.weights_gib == 20.3
