"""Sweeps, searches and repeated runs against a server whose capacity is known, and what is kept when one fails."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploykit import paths
from deploykit.catalog.workload import ClosedLoop, Fixed, OpenLoop, Slo, Workload
from deploykit.effects.records import Records
from deploykit.effects.run_store import RunStores
from deploykit.errors import Interrupted, LoadTestError
from deploykit.measuring.samples import LoadTestRun, parse_samples
from deploykit.workflows.loadtest import Endpoint
from deploykit.workflows.measuring import measure_address
from deploykit.workflows.report import read_run
from deploykit.workflows.trials import Load, Loaded, put_under_load
from deploykit.workflows.world import World
from tests.loadtests.builders import make_workload
from tests.workflows import fakes
from tests.workflows.simulated import SimulatedGenerator

ENDPOINT = Endpoint(base_url="http://127.0.0.1:1", model="paced")
CAPACITY = 20.0
"""Requests per second of eight slots that take 0.4 s each."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(
        playbooks=fakes.FakePlaybooks(),
        generator=SimulatedGenerator(),
        metrics=fakes.FakeMetrics(dark=True),
        clock=fakes.FakeClock(),
        reporter=fakes.FakeReporter(),
        runs=RunStores(tmp_path / "runs"),
        records=Records(tmp_path / "data"),
        profiles=paths.shipped("profiles"),
        versions={"deploykit": "test"},
    )


def workload(**changes: Any) -> Workload:
    slo = Slo(ttft_s=0.5, share=0.9)
    made: dict[str, Any] = {
        "slo": slo, "prompt_tokens": Fixed(tokens=100), "output_tokens": Fixed(tokens=20), "stages": (ClosedLoop(users=4, duration_s=30),),
    }  # fmt: skip
    return make_workload(**made | changes)


class Put:
    """A load put on the simulated server."""

    def __init__(self, world: World, load: Load, traffic: Workload, gpus: int = 0) -> None:
        self.world = world
        self.run = world.runs.create(model="m", node="n", now=world.clock.now())
        self.run.write_text("target.json", "{}")
        self.generator = world.generator
        assert isinstance(self.generator, SimulatedGenerator)
        self.loaded: Loaded = put_under_load(ENDPOINT, traffic, load, self.run, world, gpus=gpus)


SWEEP = Load(kind="sweep", of="users", start=1, highest=256, trial_s=30)
SEARCH = Load(kind="goodput", of="requests/s", start=2, highest=500, trial_s=30)


def test_a_sweep_stops_where_throughput_no_longer_grows(world: World) -> None:
    put = Put(world, SWEEP, workload(slo=Slo(ttft_s=5)), gpus=2)
    found = put.loaded.found.sweep
    assert found is not None
    assert [point.load for point in found.points] == [1, 2, 4, 8, 16, 32]  # eight slots: two steps beyond say so
    assert found.stopped == "saturated"
    assert found.knee == 3
    full = found.points[3]
    assert full.output_tokens_per_s == pytest.approx(CAPACITY * 20, rel=0.05)
    assert full.tokens_per_s_per_gpu == pytest.approx(full.output_tokens_per_s / 2)
    assert found.best is not None
    assert found.points[found.best].load >= 8
    assert {stage.kind for spec in put.generator.specs for stage in spec.workload.stages} == {"closed"}


def test_a_sweep_is_one_run_of_all_its_trials(world: World) -> None:
    put = Put(world, SWEEP, workload(warmup_s=3, slo=Slo(ttft_s=5)))
    run, points = put.loaded.run, 6
    assert [stage.users for stage in run.spec.workload.stages] == [1, 2, 4, 8, 16, 32]
    assert {stage.duration_s for stage in run.spec.workload.stages} == {33}  # beyond its warm-up
    assert {sample.stage for sample in run.samples} == set(range(points))
    assert read_run(put.run) == run.model_copy(update={"sample_count": len(run.samples)}), (
        "the report can be made again from the folder"
    )
    assert json.loads(put.run.path("found.json").read_text())["sweep"]["stopped"] == "saturated"
    assert not list(put.run.path("trials").glob("*/samples.jsonl")), "they are in the run's own"


def test_a_sweep_ends_at_the_first_load_that_is_hopeless(world: World) -> None:
    slow = workload(slo=Slo(ttft_s=0.021, share=0.9))
    found = Put(world, SWEEP, slow).loaded.found.sweep
    assert found is not None
    assert (found.stopped, found.points[-1].load) == ("hopeless", 16)  # half of the requests wait for a slot


def test_a_sweep_ends_at_a_load_that_could_not_be_measured(world: World) -> None:
    def lag(spec: Any) -> float:
        return 2.0 if spec.workload.stages[0].users == 4 else 0.001

    found = Put(replace(world, generator=SimulatedGenerator(lag_s=lag)), SWEEP, workload()).loaded.found.sweep
    assert found is not None
    assert (found.stopped, found.points[-1].load, found.points[-1].verdict) == ("invalid", 4, "INVALID")


def test_a_sweep_of_rates_offers_rates(world: World) -> None:
    found = Put(world, SWEEP.model_copy(update={"of": "requests/s", "start": 4.0, "highest": 16.0}), workload())
    stages = [spec.workload.stages[0] for spec in found.generator.specs]
    assert [stage.requests_per_s for stage in stages if isinstance(stage, OpenLoop)] == [4, 8, 16]
    assert found.loaded.found.sweep is not None
    assert found.loaded.found.sweep.stopped == "end"


def test_a_search_finds_what_the_server_can_do(world: World) -> None:
    put = Put(world, SEARCH, workload())
    found = put.loaded.found.goodput
    assert found is not None
    assert found.outcome == "found"
    assert found.lower is not None
    assert found.upper is not None
    assert CAPACITY * 0.8 < found.lower < CAPACITY * 1.05
    assert found.lower < found.upper < CAPACITY * 1.25
    for spec in put.generator.specs:
        (stage,) = spec.workload.stages
        assert isinstance(stage, OpenLoop)
        assert stage.duration_s * stage.requests_per_s == pytest.approx(max(2000, 30 * stage.requests_per_s)), (
            "a trial has the requests that a share needs"
        )
    assert json.loads(put.run.path("found.json").read_text())["goodput"]["outcome"] == "found"


def test_a_generator_that_cannot_keep_up_leaves_the_search_unresolved(world: World) -> None:
    def lag(spec: Any) -> float:
        return 2.0 if spec.workload.stages[0].requests_per_s > 3 else 0.001

    put = Put(replace(world, generator=SimulatedGenerator(lag_s=lag)), SEARCH, workload())
    found = put.loaded.found.goodput
    assert found is not None
    assert (found.outcome, found.rate) == ("unresolved", None)
    assert "at 4/s the load generator could not keep up" in found.why
    assert ([rate.rate for rate in found.rates], found.lower, found.upper) == ([2], 2, None)
    assert len(put.loaded.run.spec.workload.stages) == 3, "the trials that tell nothing are kept all the same"


def test_a_trial_that_another_program_spoiled_is_made_once_more(world: World) -> None:
    generator = SimulatedGenerator()
    generator.lag_s = lambda _: 2.0 if len(generator.specs) in {2, 5} else 0.001
    found = Put(replace(world, generator=generator), SEARCH, workload()).loaded.found.goodput
    assert found is not None
    assert found.outcome == "found"
    rates = [spec.workload.stages[0].requests_per_s for spec in generator.specs]
    assert rates[1] == rates[2]
    assert rates[4] == rates[5]
    assert sum(rate.trials for rate in found.rates) == len(rates) - 2


def test_too_few_trials_leave_the_search_unresolved_with_its_bounds(world: World) -> None:
    found = Put(world, SEARCH.model_copy(update={"most_trials": 5}), workload()).loaded.found.goodput
    assert found is not None
    assert (found.outcome, found.lower, found.upper) == ("unresolved", 16, 32)
    assert "16/s and 32/s" in found.why


REPEATED = Load(kind="runs", runs=3)


def test_repeated_runs_have_an_interval_and_each_run_keeps_its_samples(world: World) -> None:
    speeds = {1: 1.0, 2: 1.2, 3: 1.1}
    put = Put(replace(world, generator=SimulatedGenerator(slower=speeds.__getitem__)), REPEATED, workload())
    found = put.loaded.found.repeated
    assert found is not None
    assert found.runs == 3
    figure = found.stages[0].figure("output_tokens_per_s")
    assert len(figure.values) == 3
    assert figure.interval is not None
    assert figure.mean is not None
    assert figure.interval.low < figure.mean < (figure.interval.high or 0)
    # 4 users, 20 tokens in 0.4 s x speed: the third run is the middle one, and the one that is told
    assert put.loaded.run.generator.started_at.hour == 12 + 3
    assert len(read_run(put.run).samples) == len(put.loaded.run.samples)
    kept = [parse_samples((put.run.path("trials") / f"{n:02}/samples.jsonl").read_text()) for n in (1, 2)]
    assert all(kept), "what is not in the run that is told is nowhere else"


def test_of_two_runs_the_interval_is_a_doubt(world: World) -> None:
    found = Put(world, REPEATED.model_copy(update={"runs": 2}), workload()).loaded.found.repeated
    assert found is not None
    assert found.verdict == "UNCLEAR"
    assert "few-runs" in {caveat.code for caveat in found.caveats}


@pytest.mark.parametrize("ends", [LoadTestError("locust died"), Interrupted("interrupted")])
@pytest.mark.parametrize("load", [SWEEP, SEARCH, REPEATED])
def test_what_was_measured_before_a_trial_failed_is_kept(world: World, load: Load, ends: Any) -> None:
    world = replace(world, generator=SimulatedGenerator(breaks={3: ends}))
    with pytest.raises(type(ends)):
        Put(world, load, workload())
    (name,) = world.runs.names()
    run = read_run(world.runs.open(name))
    assert {sample.stage for sample in run.samples} == {0, 1}


@pytest.mark.parametrize("load", [Load(), SWEEP, SEARCH, REPEATED])
@pytest.mark.parametrize("certified", [True, False])
def test_every_load_test_is_certified_unless_it_is_turned_off(world: World, load: Load, certified: bool) -> None:
    wanted = load.model_copy(update={"certified": certified, "processes": 3, "most_trials": 2})
    put = Put(world, wanted, workload())
    assert {spec.certificate_s > 0 for spec in put.generator.specs} == {certified}
    assert {spec.processes for spec in put.generator.specs} == {3}


def test_an_address_is_reported_alone_with_what_was_found(world: World) -> None:
    run = world.runs.create(model="m", node="n", now=world.clock.now())
    made = measure_address(run, ENDPOINT, workload(), SWEEP, world)
    assert made.sweep is not None
    assert made.commands[0].startswith("deploykit loadtest http://127.0.0.1:1 --replay ")
    for name in ("target.json", "loadtest-run.json", "samples.jsonl", "samples.parquet", "measurements.json", "found.json", "report.json",
                 "report.md", "report.html"):  # fmt: skip
        assert run.path(name).stat().st_size > 0, name
    assert run.read("loadtest-run.json", LoadTestRun).samples == ()
    assert any("requests answered" in str(line) for line in world.reporter.lines)
    assert "trial 1: 1 user" in world.reporter.lines


def test_an_address_that_answers_nothing_is_one_error_and_is_kept(world: World) -> None:
    run = world.runs.create(model="m", node="n", now=world.clock.now())
    stages = (ClosedLoop(users=1, duration_s=9), ClosedLoop(users=2, duration_s=9))
    lost = replace(world, generator=fakes.FakeGenerator(lost=200))
    with pytest.raises(LoadTestError, match="none of 200 requests was answered") as caught:
        measure_address(run, ENDPOINT, workload(stages=stages), Load(), lost)
    assert (caught.value.detail, caught.value.exit_code) == ("ConnectionRefusedError", 7)
    assert len(read_run(run).samples) == 200
