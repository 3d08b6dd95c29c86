"""Load test runs made by hand."""

import datetime as dt
import random
from typing import Any

from deploykit.catalog.workload import ClosedLoop, Fixed, Slo, Workload
from deploykit.measuring.certificate import Certificate
from deploykit.measuring.samples import EngineCounters, GeneratorFacts, LoadTestRun, LoadTestSpec, RequestSample

START = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)


def rng(seed: int) -> random.Random:
    """A simulation's randomness, the same each time."""
    return random.Random(seed)  # noqa: S311 - a simulation, not a secret


def make_sample(**changes: Any) -> RequestSample:
    """A request due at 1 s, sent at once: tokens at 2, 3, 4 and 5 s; 10 tokens in, 8 out (two per event)."""
    values: dict[str, Any] = {
        "request": 0,
        "stage": 0,
        "user": 0,
        "intended_s": 1.0,
        "sent_s": 1.0,
        "first_token_s": 2.0,
        "last_token_s": 5.0,
        "done_s": 5.0,
        "token_events_s": (1.0, 2.0, 3.0, 4.0),
        "prompt_tokens": 10,
        "cached_tokens": None,
        "output_tokens": 8,
        "wanted_output_tokens": 8,
        "status": 200,
        "outcome": "ok",
        "finish_reason": "length",
    }
    return RequestSample(**values | changes)


def moved(by_s: float, **changes: Any) -> RequestSample:
    """The same request, later."""
    times = {
        name: getattr(make_sample(), name) + by_s
        for name in ("intended_s", "sent_s", "first_token_s", "last_token_s", "done_s")
    }
    return make_sample(**times | changes)


def failed(outcome: str, by_s: float = 0.0, **changes: Any) -> RequestSample:
    """A request that got nothing."""
    nothing = {
        "first_token_s": None,
        "last_token_s": None,
        "token_events_s": (),
        "prompt_tokens": None,
        "output_tokens": None,
    }
    return moved(by_s, outcome=outcome, **nothing, **changes)


def make_workload(**changes: Any) -> Workload:
    values: dict[str, Any] = {
        "name": "test",
        "title": "Test",
        "source": "this test",
        "as_of": dt.date(2026, 1, 1),
        "prompt_tokens": Fixed(tokens=10),
        "output_tokens": Fixed(tokens=8),
        "warmup_s": 0,
        "stages": (ClosedLoop(users=2, duration_s=10),),
        "slo": Slo(),
        "ignore_eos": True,
        "temperature": 0,
    }
    return Workload(**values | changes)


def make_counters(prompt: int | None = 0, output: int | None = 0, **changes: Any) -> EngineCounters:
    values: dict[str, Any] = {
        "at": START,
        "prompt_tokens": prompt,
        "cached_tokens": 0,
        "output_tokens": output,
        "requests_finished": 0,
        "preemptions": 0,
    }
    return EngineCounters(**values | changes)


def make_certificate(**changes: Any) -> Certificate:
    """A generator that adds 0.1 ms to TTFT and 0.05 ms to ITL at two streams of 50 tokens/s."""
    values: dict[str, Any] = {
        "streams": 2,
        "events_per_s": 99,
        "wanted_events_per_s": 100,
        "seconds": 2,
        "responses": 4,
        "ttft_added_p50_s": 0.00003,
        "ttft_added_p99_s": 0.0001,
        "itl_added_p50_s": 0.00001,
        "itl_added_p99_s": 0.00005,
        "coalesced_share": 0,
        "stamp": "kernel",
    }
    return Certificate(**values | changes)


def make_run(*samples: RequestSample, workload: Workload | None = None, **changes: Any) -> LoadTestRun:
    """A run of one stage from 0 to 10 s, unless `generator` says otherwise; the engine's counters agree with usage."""
    facts: dict[str, Any] = {
        "locust": "2",
        "python": "3",
        "processes": 1,
        "started_at": START,
        "stage_starts_s": (0.0,),
        "stage_ends_s": (10.0,),
        "loop_lag_p99_s": 0.001,
        "loop_lag_max_s": 0.002,
        "certificate": make_certificate(),
    }
    prompt = sum(sample.prompt_tokens or 0 for sample in samples)
    output = sum(sample.output_tokens or 0 for sample in samples)
    cached = sum(sample.cached_tokens or 0 for sample in samples)
    values: dict[str, Any] = {
        "spec": LoadTestSpec(base_url="http://127.0.0.1:1", model="m", workload=workload or make_workload()),
        "before": make_counters(),
        "after": make_counters(prompt, output, cached_tokens=cached),
    }
    generator = GeneratorFacts(**facts | changes.pop("generator", {}))
    return LoadTestRun(generator=generator, samples=samples, **values | changes)
