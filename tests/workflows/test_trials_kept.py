"""Loads put on in every way: what is kept of them is enough to make their report again."""

import datetime as dt
import importlib.util
import json
import random
from functools import partial
from pathlib import Path

import pytest

from deploykit import paths
from deploykit.effects.records import Records
from deploykit.effects.run_store import RunStores
from deploykit.reporting import html as page
from deploykit.workflows.loadtest import Endpoint
from deploykit.workflows.measuring import measure_address
from deploykit.workflows.trials import Load
from deploykit.workflows.verify import verify
from deploykit.workflows.world import World
from tests.measuring.builders import make_workload, moved

_spec = importlib.util.spec_from_file_location("workflow_fakes", Path(__file__).with_name("fakes.py"))
fakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fakes)


class Generator(fakes.FakeGenerator):
    """Load tests that begin at odd moments, each of its own latencies."""

    def run(self, spec, *, directory, api_key, on_progress, authority=None):
        self.specs.append(spec)
        number = len(self.specs)
        draw = random.Random(number)  # noqa: S311 - a simulation
        samples = tuple(moved(draw.uniform(0, 7), request=i) for i in range(80 + 10 * number))
        Path(directory).mkdir(parents=True, exist_ok=True)
        (Path(directory) / "samples.jsonl").write_text("".join(s.model_dump_json() + "\n" for s in samples))
        facts, _ = fakes.FakeGenerator().run(spec, directory=directory, api_key=None, on_progress=None)
        (Path(directory) / "samples.jsonl").write_text("".join(s.model_dump_json() + "\n" for s in samples))
        begun = fakes.START + dt.timedelta(seconds=61.123457 * number)
        return facts.model_copy(update={"started_at": begun, "stage_ends_s": (10.0,)}), samples


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr("deploykit.workflows.remake.loadtest_html", partial(page.loadtest_html, draw=lambda _: ()))
    return World(
        playbooks=fakes.FakePlaybooks(), generator=Generator(), metrics=fakes.FakeMetrics(), clock=fakes.FakeClock(),
        reporter=fakes.FakeReporter(), runs=RunStores(tmp_path / "runs"), records=Records(tmp_path / "data"),
        profiles=paths.shipped("profiles"),
    )  # fmt: skip


LOADS = {
    "once": Load(),
    "runs": Load(kind="runs", runs=3),
    "sweep": Load(kind="sweep", start=1, highest=4),
    "goodput": Load(kind="goodput", of="requests/s", start=4, highest=8, most_trials=3),
}


@pytest.mark.parametrize("kind", LOADS)
def test_what_is_kept_makes_the_report_again(world, kind):
    run = world.runs.create(model="m", node="address", now=world.clock.now())
    endpoint = Endpoint(base_url="http://127.0.0.1:1", model="m")
    made = measure_address(run, endpoint, make_workload(), LOADS[kind], world)
    found = {name for name in ("sweep", "goodput", "repeated") if getattr(made, name) is not None}
    assert found == {"once": set(), "runs": {"repeated"}}.get(kind, {kind})
    told = verify(run)
    assert (told.mismatches, told.not_checked) == ((), ())
    assert told.numbers > 100
    if found:
        file = run.path("found.json")
        changed = json.loads(file.read_text())
        part = changed[found.pop()]
        inner = part["points"] if kind == "sweep" else part["rates"] if kind == "goodput" else part["stages"]
        key = "requests" if kind != "goodput" else "good"
        inner[0][key] += 1
        file.write_text(json.dumps(changed))
        assert any(m.file == "found.json" and m.path.endswith(f"[0].{key}") for m in verify(run).mismatches)


def test_the_samples_of_every_repeated_run_are_kept_and_those_of_trials_once(world):
    for kind, kept in (("runs", 3), ("sweep", 0)):
        run = world.runs.create(model=kind, node="address", now=world.clock.now())
        measure_address(run, Endpoint(base_url="http://127.0.0.1:1", model="m"), make_workload(), LOADS[kind], world)
        assert len(run.find("trials/*/samples.jsonl")) == len(run.find("trials/*/loadtest-run.json")) == kept
