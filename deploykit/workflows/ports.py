"""What workflows ask of the outside world; `effects` answers for real, tests with fakes."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.weights_lock import LockedRepository
from deploykit.catalog.workload import Workload
from deploykit.deploying.deployment import HostOutcome, TaskFailure
from deploykit.measuring.certificate import Certificate, joined
from deploykit.measuring.power import PowerLog
from deploykit.measuring.samples import EngineCounters, GeneratorFacts, LoadTestSpec, ProcessProgress, RequestSample


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
    """How far a load test is; tokens are those of answered requests, latencies those of the last ones answered."""

    stage: int
    stages: int
    elapsed_s: float
    expected_s: float
    in_flight: int
    finished: int
    failed: int
    output_tokens: int
    input_tokens: int = 0
    ttft_p50_s: float | None = None
    ttft_p99_s: float | None = None
    tpot_p50_s: float | None = None
    usd_per_hour: Decimal | None = Field(None, description="Of all that serves, where a rate is known.")
    certificate: Certificate | None = Field(None, description="Null until every process has measured itself.")


def join_progress(parts: Sequence[ProcessProgress]) -> Progress | None:
    """Return how far the processes of a load test are together; None if none has said so."""
    if not parts:
        return None
    ttft = sorted(value for part in parts for value in part.recent_ttft_s)
    tpot = sorted(value for part in parts for value in part.recent_tpot_s)
    return Progress(
        stage=min(part.stage for part in parts),
        stages=parts[0].stages,
        elapsed_s=max(part.elapsed_s for part in parts),
        expected_s=parts[0].expected_s,
        in_flight=sum(part.in_flight for part in parts),
        finished=sum(part.finished for part in parts),
        failed=sum(part.failed for part in parts),
        input_tokens=sum(part.input_tokens for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        certificate=joined([part.certificate for part in parts]),
        ttft_p50_s=ttft[len(ttft) // 2] if ttft else None,
        ttft_p99_s=ttft[len(ttft) * 99 // 100] if ttft else None,
        tpot_p50_s=tpot[len(tpot) // 2] if tpot else None,
    )


class LoadGenerator(Protocol):
    """Makes load in a process of its own."""

    def run(
        self,
        spec: LoadTestSpec,
        *,
        directory: Path,
        api_key: str | None,
        on_progress: Callable[[Progress], None],
        authority: Path | None = None,
    ) -> tuple[GeneratorFacts, tuple[RequestSample, ...]]:
        """Run the load test in a directory (`loadtest.json`, `samples.jsonl`, `generator.json`, `locust.log` land there).

        `authority` is the root that is trusted instead of the system's.
        """
        ...


class LoadInputs(Protocol):
    """Reads what a load is replayed from: traces, and prompts of the operator's own."""

    def prepare(self, workload: Workload, into: Path | None) -> Workload:
        """Return the workload with the facts of its files; write what processes need of them into a folder, if given.

        Raises CatalogError for a file that cannot be used.
        """
        ...


class NoInputs:
    """Knows no files: of workloads without any."""

    def prepare(self, workload: Workload, into: Path | None) -> Workload:  # noqa: ARG002 - the protocol's argument
        """Return the workload as it is."""
        return workload


class EngineMetrics(Protocol):
    """Reads an engine's counters."""

    @property
    def names(self) -> tuple[str, ...]:
        """The samples it makes them of, by their names in /metrics."""
        ...

    def read(self, text: str, engine: str) -> EngineCounters:
        """Return the counters that a text of /metrics holds; LoadTestError, which names the engine, if it is none."""
        ...

    def counters(self, base_url: str) -> EngineCounters:
        """Return the counters now; raises LoadTestError if /metrics does not answer."""
        ...


class PowerMeter(Protocol):
    """Reads the GPUs' power again and again."""

    def running(self) -> AbstractContextManager[Callable[[], PowerLog]]:
        """Read while a block runs; it is given what returns the log so far."""
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


class ModelHub(Protocol):
    """Asks the model hub what a repository holds."""

    def repository(self, repo: str, revision: str | None, exclude: tuple[str, ...]) -> LockedRepository:
        """Return a repository at a revision (its newest if None) with the digest of every file; raises WeightsError."""
        ...


class Posted(Value):
    """A comment that is there."""

    id: str
    body: str
    url: str


class Comments(Protocol):
    """The comments of one pull or merge request."""

    def mine(self) -> tuple[Posted, ...]:
        """Return the comments that whoever holds our token wrote; raises CommentError, or RetryError for a while."""
        ...

    def create(self, body: str) -> Posted:
        """Post a comment."""
        ...

    def update(self, posted: Posted, body: str) -> Posted:
        """Put another text into a comment."""
        ...

    def head_sha(self) -> str:
        """Return the commit that is proposed now."""
        ...
