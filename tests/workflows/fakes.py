"""One fake per port: each records what it was asked and answers what the test wants."""

import datetime as dt
from pathlib import Path

from deploykit.deploying.deployment import HostOutcome, TaskFailure
from deploykit.errors import Interrupted, LoadTestError
from deploykit.measuring.samples import EngineCounters, GeneratorFacts, RequestSample
from deploykit.workflows.ports import PlaybookResult, TaskEvent

START = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


class FakeClock:
    def __init__(self):
        self.ticks = 0

    def now(self):
        self.ticks += 1
        return START + dt.timedelta(seconds=self.ticks)


def engine_entry(**changes):
    """What is told of an engine that has been up all the time."""
    entry = {"name": "engine-0", "state": "running", "pid": 7, "uptime": 9999, "health": "ok", "ended": None, "log": []}
    return entry | changes


class FakePlaybooks:
    """Ansible that changes things once, or fails, or is interrupted."""

    def __init__(self, *, failure=None, interrupt=(), engine=None, told=None):
        self.ran, self.failure, self.interrupt, self.engine = [], failure, interrupt, engine
        self.told = told or {}

    def run(self, playbook, *, inventory, variables, secrets, log_dir, on_event, check=False):
        self.ran.append((playbook, dict(variables), dict(secrets)))
        if self.interrupt and playbook == "site.yml":
            for kind, task in self.interrupt:
                on_event(TaskEvent(kind=kind, role="engine", task=task))
            raise Interrupted("interrupted")
        if playbook == "logs.yml":
            instances = {"instances": [self.engine or engine_entry()]}
            return PlaybookResult(status="successful", hosts=(), facts={"localhost": instances})
        sites = sum(name == "site.yml" for name, _v, _s in self.ran)
        host = HostOutcome(host="localhost", ok=9, changed=4 if sites == 1 else 0, failed=1 if self.failure else 0)
        facts = {
            "engine_version": "0.32.0",
            "completion_ms": 20,
            "kv_cache_tokens": 310_656,
            "num_gpu_blocks": 2427,
            "block_size": 128,
        }
        failures = (
            (TaskFailure(host="localhost", role="engine", task="Start", message=self.failure, output="last line"),)
            if self.failure
            else ()
        )
        return PlaybookResult(
            status="failed" if self.failure else "successful",
            hosts=(host,),
            failures=failures,
            facts={"localhost": facts | self.told},
        )

    def list_tasks(self, playbook, *, inventory, variables):
        return {}


class FakeGenerator:
    """A load generator whose engine answers each request in the same time, but for those that are `lost`."""

    def __init__(self, *, broken=False, lost=0):
        self.broken, self.lost, self.specs, self.authorities = broken, lost, [], []

    def run(self, spec, *, directory, api_key, on_progress, authority=None):
        self.specs.append((spec, api_key))
        self.authorities.append(authority)
        if self.broken:
            raise LoadTestError("locust died")
        stages = len(spec.workload.stages)
        starts = tuple(20.0 * i for i in range(stages))
        samples = tuple(
            _sample(stage * 1000 + n, stage, starts[stage] + 0.1 * n) for stage in range(stages) for n in range(100)
        )
        samples = samples[: len(samples) - self.lost] + tuple(map(_lost, samples[len(samples) - self.lost :]))
        (Path(directory) / "samples.jsonl").write_text("".join(s.model_dump_json() + "\n" for s in samples))
        facts = GeneratorFacts(
            locust="2.47.0", python="3.11.7", processes=1, started_at=START, stage_starts_s=starts,
            stage_ends_s=tuple(start + 12 for start in starts), loop_lag_p99_s=0.001, loop_lag_max_s=0.002, cpu_share=0.1,
        )  # fmt: skip
        return facts, samples


def _sample(request, stage, at):
    return RequestSample(
        request=request, stage=stage, user=0, intended_s=at, sent_s=at + 0.0001, headers_s=at + 0.01, first_token_s=at + 0.02, last_token_s=at + 0.2,
        done_s=at + 0.201, token_events_s=tuple(0.02 + 0.01 * i for i in range(19)), prompt_tokens=100, cached_tokens=64, output_tokens=19,
        wanted_output_tokens=19, status=200, outcome="ok", finish_reason="length",
    )  # fmt: skip


def _lost(sample):
    nothing = dict.fromkeys(("headers_s", "first_token_s", "last_token_s", "prompt_tokens", "cached_tokens", "output_tokens", "status", "finish_reason"))  # fmt: skip
    gone = {"token_events_s": (), "outcome": "connection_error", "error": "ConnectionRefusedError"}
    return sample.model_copy(update=nothing | gone)


class FakeMetrics:
    """Counters that agree with the fake generator."""

    names = ("vllm:prompt_tokens_total",)

    def __init__(self, *, dark=False):
        self.reads, self.dark = 0, dark

    def read(self, text, engine):
        assert text.startswith(self.names)
        return self.counters(engine)

    def counters(self, base_url):
        if self.dark:
            raise LoadTestError("does not answer")
        self.reads += 1
        served = 0 if self.reads % 2 else 200
        return EngineCounters(
            at=START,
            prompt_tokens=100 * served,
            cached_tokens=64 * served,
            output_tokens=19 * served,
            requests_finished=served,
            preemptions=0,
        )


class FakeReporter:
    def __init__(self):
        self.lines = []

    def begin(self, stage):
        self.lines.append(f"{stage} ...")

    def done(self, stage, detail):
        self.lines.append(f"{stage}: {detail}")

    def task(self, event):
        self.lines.append(event)

    def load(self, progress):
        self.lines.append(progress)

    def note(self, text):
        self.lines.append(text)
