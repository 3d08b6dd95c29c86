"""The real locust certifies itself before a load: alone, in several processes, and when it cannot."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from deploykit.catalog.workload import ClosedLoop
from deploykit.effects.locust import LocustGenerator
from deploykit.measuring.samples import GeneratorFacts, LoadTestSpec, RequestSample
from deploykit.workflows.ports import Progress
from tests.loadtests.builders import make_workload
from tests.loadtests.conftest import LOADTESTS
from tests.loadtests.servers import paced

pytestmark = pytest.mark.calibration


def generate(
    folder: Path, seen: list[Progress], *, loadtests: Path = LOADTESTS, users: int = 3, **spec: Any
) -> tuple[GeneratorFacts, tuple[RequestSample, ...]]:
    workload = make_workload(stages=(ClosedLoop(users=users, duration_s=30, max_requests=16),))
    with paced(ttft_s=0.5, itl_s=0.001) as url:
        wanted = LoadTestSpec(base_url=url, model="paced", workload=workload, **{"certificate_s": 1} | spec)
        return LocustGenerator(loadtests).run(wanted, directory=folder, api_key=None, on_progress=seen.append)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_measure_themselves_at_the_load_they_will_have(tmp_path: Path, processes: int) -> None:
    seen: list[Progress] = []
    facts, samples = generate(tmp_path, seen, processes=processes, users=8)
    found = facts.certificate
    assert found is not None
    assert (found.streams, found.processes, found.wanted_events_per_s) == (8, processes, 400)
    assert [part.certificate.streams for part in facts.of_processes if part.certificate] == [8 // processes] * processes
    assert found.responses >= 8
    assert found.events_per_s > 100
    assert found.ttft_added_p99_s > 0
    assert facts.uncertified is None
    told = [progress for progress in seen if progress.certificate is not None]
    assert told[0].certificate == found
    assert told[0].finished < len(samples) == 16, "it is told before the load is over"


def test_a_certificate_that_fails_leaves_the_run_and_says_why(tmp_path: Path) -> None:
    broken = Path(shutil.copytree(LOADTESTS, tmp_path / "loadtests"))
    (broken / "paced_engine.py").write_text("raise SystemExit(1)")
    facts, samples = generate(tmp_path / "run", [], loadtests=broken)
    assert (facts.certificate, facts.uncertified) == (None, "the paced engine did not start")
    assert [sample.outcome for sample in samples] == ["ok"] * 16


def test_a_run_that_wants_none_has_none(tmp_path: Path) -> None:
    facts, samples = generate(tmp_path, [], certificate_s=0)
    assert (facts.certificate, facts.uncertified, len(samples)) == (None, None, 16)
