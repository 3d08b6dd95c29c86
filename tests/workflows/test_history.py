"""An earlier run of the same thing is found, newest first; what is damaged, invalid or different is no evidence."""

import datetime as dt
from pathlib import Path

import pytest

from deploykit.effects.run_store import RunStores
from deploykit.measuring.measurements import Measurements
from deploykit.planning.plan import Parallelism, Plan
from deploykit.workflows.history import measured_here
from tests.reporting.builders import make_plan, make_samples, measured

PLAN = make_plan()
MEASURED = measured(make_samples())


@pytest.fixture
def runs(tmp_path: Path) -> RunStores:
    return RunStores(tmp_path)


def save(runs: RunStores, hour: int, plan: Plan = PLAN, measurements: Measurements | None = MEASURED) -> str:
    run = runs.create(model=plan.model, node=plan.node, now=dt.datetime(2026, 1, 1, hour, tzinfo=dt.UTC))
    run.write("plan.json", plan)
    if measurements is not None:
        run.write("measurements.json", measurements)
    return run.directory.name


def test_without_runs_nothing_was_measured(runs: RunStores) -> None:
    assert measured_here(runs, PLAN) is None


def test_the_newest_run_of_the_same_thing_is_taken(runs: RunStores) -> None:
    save(runs, 1)
    newest = save(runs, 2)
    found = measured_here(runs, PLAN)
    assert found is not None
    assert found.run == newest
    assert [stage.output_tokens_per_s for stage in found.stages] == [
        stage.output_tokens_per_s for stage in MEASURED.stages
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "another"},
        {"node": "another"},
        {"nodes": 2},
        {"workload": "another"},
        {"engine": "another"},
        {"stand_in": "another"},
        {"parallelism": Parallelism(tensor=2)},
    ],
)
def test_another_model_machine_layout_load_or_engine_is_no_evidence(runs: RunStores, change: dict[str, object]) -> None:
    save(runs, 1, PLAN.model_copy(update=change))
    assert measured_here(runs, PLAN) is None


def test_another_load_put_on_the_same_deployment_is_no_evidence(runs: RunStores) -> None:
    save(runs, 1, measurements=MEASURED.model_copy(update={"workload": "trace.jsonl"}))
    assert measured_here(runs, PLAN) is None


def test_other_limits_are_the_same_thing(runs: RunStores) -> None:
    limits = PLAN.limits.model_copy(update={"max_num_seqs": 1})
    save(runs, 1, PLAN.model_copy(update={"limits": limits}))
    assert measured_here(runs, PLAN) is not None


def test_what_cannot_be_used_is_passed_over(runs: RunStores) -> None:
    good = save(runs, 1)
    save(runs, 2, measurements=None)
    save(runs, 3, measurements=MEASURED.model_copy(update={"verdict": "INVALID"}))
    damaged = save(runs, 4)
    runs.open(damaged).write_text("measurements.json", "{")
    damaged = save(runs, 5)
    runs.open(damaged).write_text("plan.json", "\x00")
    found = measured_here(runs, PLAN)
    assert found is not None
    assert found.run == good
