"""The order of effects on the road, and what is kept when a stage fails."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from deploykit import paths
from deploykit.deploying.remembered import key_of, last_time
from deploykit.effects.memories import FileMemories
from deploykit.effects.records import Records
from deploykit.effects.run_store import RunStores
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import DeploymentError, Interrupted, LoadTestError
from deploykit.intent import GatewayIntent, Intent
from deploykit.workflows.deploy import START_TASK
from deploykit.workflows.planning import make_plan
from deploykit.workflows.target import this_machine
from deploykit.workflows.up import gateway_url, up
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


def test_a_file_that_was_fetched_again_is_named(go, world):
    note = "model.safetensors was damaged (SHA-256 0123...)"
    go(replace(world, playbooks=fakes.FakePlaybooks(told={"weights": [note]})))
    assert f"localhost: {note}" in world.reporter.lines


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


def died(**changes):
    log = ["old", "INFO it serves", "ERROR EngineCore died", "deploykit: starting release abc", "INFO loading"]
    return fakes.FakePlaybooks(
        engine=fakes.engine_entry(**{"uptime": 1, "health": "does not answer", "log": log} | changes)
    )


def test_an_engine_that_ended_during_the_load_is_an_error_with_its_last_words(go, world):
    with pytest.raises(LoadTestError, match="the engine ended during the load test: engine-0 on localhost") as caught:
        go(world=replace(world, playbooks=died(), generator=fakes.FakeGenerator(lost=90)))
    assert caught.value.detail.splitlines() == ["old", "INFO it serves", "ERROR EngineCore died"]
    (run,) = (path for path in world.runs.runs_dir.iterdir() if not path.is_symlink())
    assert str(run) in caught.value.hint
    assert "`deploykit up`" in caught.value.hint
    measured = json.loads((run / "measurements.json").read_text())
    assert measured["verdict"] == "INVALID"
    assert measured["caveats"][0]["code"] == "engine-ended"
    assert "INVALID" in (run / "report.md").read_text()
    assert go().report is not None, "the next `up` measures again"


def test_an_engine_that_ended_before_anything_was_answered(go, world):
    with pytest.raises(LoadTestError, match=r"engine-0 on localhost is failed \(exit status 1\)"):
        go(
            world=replace(
                world, playbooks=died(state="failed", ended="exit status 1"), generator=fakes.FakeGenerator(lost=200)
            )
        )


def test_an_engine_that_ended_before_the_load_could_begin(go, world):
    with pytest.raises(LoadTestError, match="the engine ended during the load test"):
        go(world=replace(world, playbooks=died(), generator=fakes.FakeGenerator(broken=True)))


def test_counters_that_went_away_make_us_look(go, world):
    class Away(fakes.FakeMetrics):
        def counters(self, base_url):
            self.dark = self.reads > 0
            return super().counters(base_url)

    with pytest.raises(LoadTestError, match="ended"):
        go(world=replace(world, playbooks=died(), metrics=Away()))
    assert go(world=replace(world, metrics=Away())).report is not None, "it is up: counters out of reach are a doubt"


def test_failures_of_an_engine_that_lives_make_the_report_invalid(go, world):
    arrival = go(world=replace(world, generator=fakes.FakeGenerator(lost=20)))
    assert arrival.report.measurements.verdict == "INVALID"


def test_no_answer_at_all_is_no_load_test(go, world):
    with pytest.raises(LoadTestError, match="none of 200 requests was answered") as caught:
        go(world=replace(world, generator=fakes.FakeGenerator(lost=200)))
    assert caught.value.detail == "ConnectionRefusedError"


@pytest.mark.parametrize(
    ("events", "ran"),
    [
        ([("task", "Place the release")], ["site.yml"]),
        ([("started", "Start the engine under x")], ["site.yml", "teardown.yml"]),
        ([("started", "Start the engine under x"), ("changed", "Start the engine under x")], ["site.yml", "teardown.yml"]),
        ([("started", "Start the engine under x"), ("ok", "Start the engine under x"), ("task", "Wait")], ["site.yml"]),
    ],
)  # fmt: skip
def test_ctrl_c_while_provisioning_stops_what_was_starting_and_nothing_that_served(go, world, events, ran):
    playbooks = fakes.FakePlaybooks(interrupt=events)
    with pytest.raises(Interrupted):
        go(world=replace(world, playbooks=playbooks))
    assert [name for name, _v, _s in playbooks.ran] == ran


@pytest.mark.parametrize("supervision", ["supervisord", "systemd"])
def test_the_task_that_starts_an_engine_is_named_as_the_road_expects(supervision):
    tasks = yaml.safe_load((paths.shipped("playbooks") / f"roles/engine/tasks/{supervision}.yml").read_text())
    assert sum(task["name"].startswith(START_TASK) for task in tasks) == 1


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


def test_how_long_a_start_took_is_kept_and_told_to_the_next_one(go, world, tmp_path):
    memories = FileMemories(tmp_path / "data")
    world = replace(world, memories=memories)
    world.playbooks.told = {"ready_s:engine-0": 95, "ready_s:engine-1": 41}
    go(world)
    assert "engine_last_start_s" not in world.playbooks.ran[0][1], "nothing is invented where nothing is known"
    assert memories.find(key_of(PLANNED.plan)).ready_s == 95
    assert "ready 95 s after its start" in last_time(memories.find(key_of(PLANNED.plan)), PLANNED.plan)
    world.playbooks.told = {}
    go(world)
    assert world.playbooks.ran[-1][1]["engine_last_start_s"] == 95
    assert memories.find(key_of(PLANNED.plan)).ready_s == 95, "an engine that runs on was not started"


@pytest.mark.parametrize(
    ("gateway", "url"),
    [({}, "http://192.0.2.1:8000"), ({"port": 80}, "http://192.0.2.1"), ({"tls": "internal"}, "https://192.0.2.1:8000"),
     ({"tls": "internal", "port": 443, "domain": "a.example.org"}, "https://a.example.org"),
     ({"tls": "internal", "domain": "a.example.org"}, "https://a.example.org:8000")],
)  # fmt: skip
def test_callers_find_the_gateway_by_its_domain_else_by_the_address(gateway, url):
    assert gateway_url(GatewayIntent(**gateway), "192.0.2.1") == url


def test_an_address_of_ipv6_stands_in_brackets():
    assert gateway_url(GatewayIntent(), "fd00::1") == "http://[fd00::1]:8000"
