"""What a load test is asked for, and what the operator hears of its client before the load."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploykit import paths
from deploykit.effects.records import Records
from deploykit.effects.run_store import RunStores
from deploykit.workflows.engine_end import Site
from deploykit.workflows.loadtest import Endpoint, loadtest
from deploykit.workflows.ports import PlaybookResult, Progress
from deploykit.workflows.world import World
from tests.loadtests.builders import make_workload
from tests.measuring.builders import make_certificate
from tests.workflows import fakes

ENDPOINT = Endpoint(base_url="http://127.0.0.1:1", model="m", metrics_urls=("http://127.0.0.1:1", "http://127.0.0.1:2"))
SAYS = "this client adds +0.10 ms to TTFT p99, 0.05 ms to ITL p99 at 2 streams"


class Telling(fakes.FakeGenerator):
    """Says how far it is: before it has measured itself, twice after, and at the end."""

    def run(self, spec: Any, *, directory: Path, api_key: Any, on_progress: Any, authority: Any = None) -> Any:
        made = super().run(spec, directory=directory, api_key=api_key, on_progress=on_progress, authority=authority)
        for number, certificate in enumerate((None, make_certificate(), make_certificate())):
            on_progress(
                Progress(
                    stage=0, stages=1, elapsed_s=number, expected_s=9, in_flight=0, finished=number, failed=0, output_tokens=0,
                    certificate=certificate,
                )
            )  # fmt: skip
        return made


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(
        playbooks=fakes.FakePlaybooks(), generator=Telling(), metrics=fakes.FakeMetrics(), clock=fakes.FakeClock(),
        reporter=fakes.FakeReporter(), runs=RunStores(tmp_path / "runs"), records=Records(tmp_path / "data"),
        profiles=paths.shipped("profiles"),
    )  # fmt: skip


def test_what_the_client_adds_is_told_once_as_soon_as_it_is_known(world: World, tmp_path: Path) -> None:
    heard: list[Progress] = []
    loadtest(ENDPOINT, make_workload(), tmp_path, replace(world, load_watchers=(heard.append,)))
    notes = [line for line in world.reporter.lines if isinstance(line, str)]
    assert notes == [SAYS]
    assert [type(line) for line in world.reporter.lines] == [Progress, str, Progress, Progress]
    assert [progress.finished for progress in heard] == [0, 1, 2]


@pytest.mark.parametrize(("certified", "seconds"), [(True, 2), (False, 0)])
def test_the_generator_is_asked_to_certify_itself_or_not_to(
    world: World, tmp_path: Path, certified: bool, seconds: float
) -> None:
    run = loadtest(ENDPOINT, make_workload(), tmp_path, world, certified=certified, processes=3)
    assert (run.spec.certificate_s, run.spec.processes) == (seconds, 3)


def test_the_counters_of_all_engines_are_added(world: World, tmp_path: Path) -> None:
    run = loadtest(ENDPOINT, make_workload(), tmp_path, world)
    assert run.before is not None
    assert run.after is not None
    assert (run.before.output_tokens, run.after.output_tokens) == (3800, 3800)  # 3800 and 0: each read of the fake's
    dark = loadtest(ENDPOINT, make_workload(), tmp_path, replace(world, metrics=fakes.FakeMetrics(dark=True)))
    assert (dark.before, dark.after) == (None, None)


class OnHosts:
    """Ansible on two hosts, whose engines say this."""

    def __init__(self, **says: Any) -> None:
        self.says, self.asked = says, []

    def run(self, playbook: str, *, variables: Any, log_dir: Path, **_more: Any) -> PlaybookResult:
        self.asked.append((playbook, variables, log_dir))
        facts = {
            host: {"counters": [{"name": "engine-0", "port": 8001, "metrics": text, "why": "Connection refused"}]}
            for host, text in self.says.items()
        }
        return PlaybookResult(status="successful", hosts=(), facts=facts)


HIDDEN = Endpoint(base_url="https://gateway", model="m", hidden=Site(inventory=Path("i"), variables={"a": 1}))


def test_behind_a_gateway_the_counters_are_read_on_the_hosts(world: World, tmp_path: Path) -> None:
    hosts = OnHosts(one="vllm:prompt_tokens_total 7", two="vllm:prompt_tokens_total 8")
    run = loadtest(HIDDEN, make_workload(), tmp_path, replace(world, playbooks=hosts))
    assert [name for name, _, _ in hosts.asked] == ["counters.yml", "counters.yml"], "before the load and after it"
    assert hosts.asked[0][1] == {"a": 1, "counters_names": ["vllm:prompt_tokens_total"]}
    assert run.before is not None
    assert run.before.output_tokens == 3800  # of both: 0 and 3800, each read of the fake's


@pytest.mark.parametrize("says", [{}, {"one": "vllm:prompt_tokens_total 7", "two": None}])
def test_a_host_that_does_not_tell_leaves_the_count_to_the_answers(world: World, tmp_path: Path, says: Any) -> None:
    run = loadtest(HIDDEN, make_workload(), tmp_path, replace(world, playbooks=OnHosts(**says)))
    assert (run.before, run.after) == (None, None)
