"""What workflows ask of the outside world; `effects` answers for real, tests with fakes."""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from deploykit.base import Value
from deploykit.deploying.deployment import HostOutcome, TaskFailure
from deploykit.measuring.samples import EngineCounters, GeneratorFacts, LoadTestSpec, RequestSample


class TaskEvent(Value):
    """Something a playbook run told us."""

    kind: Literal["play", "task", "started", "ok", "changed", "skipped", "failed", "unreachable", "retry", "note"]
    host: str | None = None
    role: str | None = None
    task: str | None = None
    message: str | None = None
    done: int = Field(0, description="Tasks begun so far.")
    expected: int | None = Field(None, description="Tasks the play lists; an estimate, never below `done`.")
    seconds: float | None = None


class PlaybookResult(Value):
    """How a playbook run ended."""

    status: Literal["successful", "failed", "canceled", "timeout"]
    hosts: tuple[HostOutcome, ...]
    failures: tuple[TaskFailure, ...] = ()
    facts: dict[str, dict[str, object]] = Field(
        default_factory=dict, description="Per host, what roles published with `set_stats` or `deploykit_result`."
    )


class Playbooks(Protocol):
    """Runs Ansible."""

    def run(
        self,
        playbook: str,
        *,
        inventory: Path,
        variables: Mapping[str, object],
        secrets: Mapping[str, str],
        log_dir: Path,
        on_event: Callable[[TaskEvent], None],
        check: bool = False,
    ) -> PlaybookResult:
        """Run a playbook to its end; raises DeploymentError if Ansible itself cannot run, Interrupted on Ctrl-C."""
        ...

    def list_tasks(
        self, playbook: str, *, inventory: Path, variables: Mapping[str, object]
    ) -> dict[str, tuple[str, ...]]:
        """Return the tasks that would run, per host, as `role : task`."""
        ...


class Progress(Value):
    """How far a load test is."""

    stage: int
    stages: int
    elapsed_s: float
    expected_s: float
    in_flight: int
    finished: int
    failed: int
    output_tokens: int


class LoadGenerator(Protocol):
    """Makes load in a process of its own."""

    def run(
        self, spec: LoadTestSpec, *, directory: Path, api_key: str | None, on_progress: Callable[[Progress], None]
    ) -> tuple[GeneratorFacts, tuple[RequestSample, ...]]:
        """Run the load test in a directory (`loadtest.json`, `samples.jsonl`, `generator.json`, `locust.log` land there)."""
        ...


class EngineMetrics(Protocol):
    """Reads an engine's counters."""

    def counters(self, base_url: str) -> EngineCounters:
        """Return the counters now; raises LoadTestError if /metrics does not answer."""
        ...


class Dashboards(Protocol):
    """The operator's Grafana."""

    def publish(self, deployment: str, *, prometheus_url: str | None) -> str:
        """Put the dashboard there, and a data source where its address is given; return the dashboard's address."""
        ...


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> dt.datetime:
        """Return the time in UTC."""
        ...


class Reporter(Protocol):
    """Tells the operator what is going on."""

    def begin(self, stage: str) -> None:
        """Start a stage of the road, such as `plan` or `provision`."""
        ...

    def done(self, stage: str, detail: str) -> None:
        """End a stage, with what came out of it."""
        ...

    def task(self, event: TaskEvent) -> None:
        """Show what a playbook does."""
        ...

    def load(self, progress: Progress) -> None:
        """Show how far the load test is."""
        ...

    def note(self, text: str) -> None:
        """Show one sentence."""
        ...
