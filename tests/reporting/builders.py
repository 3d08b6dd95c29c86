"""Whole reports for tests: a plan, a deployment and a load test with drawn samples, and the bills for them."""

import datetime as dt
import functools
import math
import random
from typing import Any

from deploykit.catalog.price import ApiPrice
from deploykit.catalog.workload import ClosedLoop, Fixed, Slo, Workload
from deploykit.caveat import Caveat, Weight
from deploykit.costing.deciding import decisions, served_by
from deploykit.costing.hourly import HourlyCost
from deploykit.costing.pricing import Pricing, compare_priced
from deploykit.deploying.deployment import Deployment, EngineMemory, HostOutcome
from deploykit.measuring.certificate import Certificate
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import Measurements, Reconciliation
from deploykit.measuring.samples import EngineCounters, GeneratorFacts, LoadTestRun, LoadTestSpec, RequestSample
from deploykit.planning.plan import (
    Choice,
    MemoryBudget,
    MemoryLine,
    Parallelism,
    Plan,
    PlannedCheckpoint,
    SchedulerLimits,
)
from deploykit.rendering.bundle import Bundle, BundleFile
from deploykit.reporting.report import Report, report
from tests.costing.builders import make_hourly, make_offer, make_peak_period, make_period, usd

STARTED = dt.datetime(2026, 11, 23, 20, 0, tzinfo=dt.UTC)
SLO = Slo(ttft_s=2, tpot_s=0.05)
BUNDLE = Bundle(
    files=(BundleFile(path="engine/config.yaml", content="max-model-len: 131072\n", purpose="vLLM's settings"),)
)
_STAGE_S, _WARMUP_S = 60.0, 10.0
_USERS = (8, 24)


def make_plan(**changes: Any) -> Plan:
    data: dict[str, Any] = {
        "model": "mixtress",
        "title": "Mixtress 120B",
        "node": "t9000-8x",
        "nodes": 1,
        "gpus_per_node": 8,
        "workload": "chat",
        "engine": "vllm-9.9",
        "engine_version": "9.9.0",
        "runtime": "cuda",
        "stand_in": None,
        "served_model_name": "mixtress",
        "checkpoint": PlannedCheckpoint(
            name="fp8", repo="acme/mixtress-fp8", revision="0a1b2c3d4e5f", precision="fp8", weights_gb=120.4, weights_basis="published"
        ),
        "parallelism": Parallelism(tensor=4, replicas=2),
        "memory": MemoryBudget(
            capacity_gib=79.6, utilization=0.92, available_gib=73.2,
            lines=(
                MemoryLine(name="weights", gib=28.0, because="120.4 GB over 4 GPUs"),
                MemoryLine(name="CUDA graphs", gib=2.1, because="measured on this engine"),
                MemoryLine(name="reserve", gib=3.0, because="NCCL and fragmentation"),
            ),
            kv_gib=40.1, kv_bytes_per_token=23040.0, bytes_per_sequence=0, kv_tokens=1_868_000, formula="73.2 = 28.0 + 2.1 + 3.0 + 40.1",
        ),
        "limits": SchedulerLimits(max_model_len=131072, max_num_seqs=256, max_num_batched_tokens=8192, concurrent_at_workload=207),
        "settings": (Choice(setting="max-model-len", value=131072, because="the checkpoint's limit", source="planner"),),
        "caveats": (Caveat(code="untried-layout", weight=Weight.NOTE, says="No source has tried `TP4` on this node."),),
    }  # fmt: skip
    return Plan(**(data | changes))


def make_rehearsal_plan() -> Plan:
    return make_plan(
        node="local", gpus_per_node=0, runtime="cpu", stand_in="tiny-mixtress", parallelism=Parallelism(),
        checkpoint=PlannedCheckpoint(
            name="random", repo="tiny-mixtress", revision=None, precision="bf16", weights_gb=0.031, weights_basis="made here"
        ),
        memory=MemoryBudget(
            capacity_gib=15.6, utilization=0.92, available_gib=4.0,
            lines=(MemoryLine(name="engine", gib=2.97, because="measured"), MemoryLine(name="weights", gib=0.03, because="32 MB")),
            kv_gib=1.0, kv_bytes_per_token=4608.0, bytes_per_sequence=0, kv_tokens=233_016, formula="4.0 = 2.97 + 0.03 + 1.0",
        ),
        limits=SchedulerLimits(max_model_len=4096, max_num_seqs=8, max_num_batched_tokens=2048, concurrent_at_workload=8),
    )  # fmt: skip


def make_deployment(**changes: Any) -> Deployment:
    data: dict[str, Any] = {
        "bundle_digest": BUNDLE.manifest.digest,
        "hosts": (HostOutcome(host="node-1", ok=41, changed=12, failed=0),),
        "endpoint": "http://127.0.0.1:8001",
        "served_model_name": "mixtress",
        "engine_version": "9.9.0",
        "memory": EngineMemory(kv_cache_tokens=1_902_336, gpu_blocks=118_896, block_size=16),
        "started_at": STARTED - dt.timedelta(minutes=9),
        "seconds": 412.0,
    }
    return Deployment(**(data | changes))


def make_workload(**changes: Any) -> Workload:
    data: dict[str, Any] = {
        "source": "made up for tests",
        "as_of": dt.date(2026, 11, 1),
        "name": "chat",
        "title": "Chat",
        "prompt_tokens": Fixed(tokens=600),
        "output_tokens": Fixed(tokens=40),
        "warmup_s": _WARMUP_S,
        "stages": (ClosedLoop(users=_USERS[0], duration_s=_STAGE_S), ClosedLoop(users=_USERS[1], duration_s=_STAGE_S)),
        "slo": SLO,
        "ignore_eos": False,
        "temperature": 0.7,
        "seed": 7,
    }
    return Workload(**(data | changes))


@functools.cache
def make_samples(*, seed: int = 7, slow: float = 1.0, cached: bool = True) -> tuple[RequestSample, ...]:
    """Draw two stages of requests; `slow` stretches every latency."""
    draw, made = random.Random(seed), []  # noqa: S311 - drawn lengths, not secrets
    for stage, users in enumerate(_USERS):
        start = stage * (_STAGE_S + 5)
        for user in range(users):
            at = start + draw.uniform(0, 2)
            while at < start + _STAGE_S:
                made.append(_sample(draw, len(made), stage, user, at, slow * (1 + users / 40), cached=cached))
                at = (made[-1].last_token_s or at) + 0.05
    return tuple(made)


def _sample(
    draw: random.Random, request: int, stage: int, user: int, at: float, slow: float, *, cached: bool
) -> RequestSample:
    output, ttft = 40, slow * draw.lognormvariate(math.log(0.3), 0.35)
    gaps = [slow * draw.lognormvariate(math.log(0.012), 0.25) for _ in range(output - 1)]
    events = [ttft]
    for gap in gaps:
        events.append(events[-1] + gap)
    failed = request % 397 == 396
    return RequestSample(
        request=request, stage=stage, user=user, intended_s=at, sent_s=at + 0.0004, headers_s=at + 0.01,
        first_token_s=at + ttft, last_token_s=at + events[-1], done_s=at + events[-1],
        token_events_s=tuple(round(event - 0.0004, 6) for event in events),
        prompt_tokens=600, cached_tokens=240 if cached else None, output_tokens=output, wanted_output_tokens=output,
        status=503 if failed else 200, outcome="http_error" if failed else "ok", finish_reason=None if failed else "length",
        error="503 <b>no @everyone</b> | retry `now` at https://evil.example" if failed else None,
    )  # fmt: skip


CERTIFICATE = Certificate(
    streams=24, events_per_s=1196.5, wanted_events_per_s=1200, processes=1, seconds=2, responses=61, ttft_added_p50_s=0.00003,
    ttft_added_p99_s=0.00012, itl_added_p50_s=0.000008, itl_added_p99_s=0.00004, coalesced_share=0.001, stamp="kernel",
)  # fmt: skip


def make_run(samples: tuple[RequestSample, ...]) -> LoadTestRun:
    generator = GeneratorFacts(
        locust="2.47.0", python="3.12.8", processes=1, started_at=STARTED, stage_starts_s=(0.0, _STAGE_S + 5),
        stage_ends_s=(_STAGE_S, 2 * _STAGE_S + 5), loop_lag_p99_s=0.0019, loop_lag_max_s=0.0081, cpu_share=0.23,
        certificate=CERTIFICATE,
    )  # fmt: skip
    spec = LoadTestSpec(base_url="http://127.0.0.1:8001", model="mixtress", workload=make_workload())
    before = EngineCounters(
        at=STARTED, prompt_tokens=0, cached_tokens=0, output_tokens=0, requests_finished=0, preemptions=0
    )
    return LoadTestRun(spec=spec, generator=generator, before=before, after=None, samples=samples)


@functools.cache
def _measured(samples: tuple[RequestSample, ...]) -> Measurements:
    return measure(make_run(samples))


def measured(samples: tuple[RequestSample, ...], **changes: Any) -> Measurements:
    """What these samples measure, its doubts left out: tests say which they want to see."""
    found = _measured(samples)
    tokens = found.priced.tokens
    data: dict[str, Any] = {
        "reconciliation": Reconciliation(client=tokens, engine=tokens, difference=0.0003),
        "verdict": "VALID",
        "caveats": (),
    }
    return found.model_copy(update=data | changes)


ACME = make_offer(make_peak_period())
OTHERS = (
    make_offer(
        make_period(usd("0.30", None, "0.90"), as_of=dt.date(2026, 7, 1)),
        name="borealis-mixtress", title="Mixtress at Borealis", provider="Borealis", api_model="acme/mixtress_120b",
    ),
    make_offer(
        make_period(usd("2.5", "0.25", "15")),
        name="gtx", title="GTX 5", provider="GTX", api_model="gtx-5", serves=None, comparable=("mixtress",),
    ),
    make_offer(
        make_period(usd("0.14", "0.0028", "0.28"), end=dt.date(2026, 9, 10)), name="acme-old", title="Mixtress at Acme, first price"
    ),
)  # fmt: skip
DEAR = (
    make_hourly("21.52"),
    make_hourly("49.24", rate="hyperscaler", provider="Hyperscaler", source="hyperscaler.example/pricing"),
)
CHEAP = (make_hourly("1.20", rate="owned", kind="owned", provider="Acme Labs"), *DEAR)
STAND_IN_RATE = (
    make_hourly("1", rate="stand-in", provider="This machine", kind="stand-in", source="made up for rehearsals"),
)
NOT_EXERCISED = (
    "the GPU kernels of the real attention",
    "tensor and expert parallelism",
    "real weights and their quality",
)


def make_report(
    *,
    plan: Plan | None = None,
    samples: tuple[RequestSample, ...] | None = None,
    hourly: tuple[HourlyCost, ...] = DEAR,
    offers: tuple[ApiPrice, ...] = (ACME, *OTHERS),
    measurements: Measurements | None = None,
    deployment: Deployment | None = None,
    priced: dict[str, Any] | None = None,
    **changes: Any,
) -> Report:
    plan = plan or make_plan()
    samples = make_samples() if samples is None else samples
    measurements = measurements or measured(samples)
    rehearsal = plan.stand_in is not None
    pricing = Pricing(model="mixtress", rehearsal=rehearsal, hourly=hourly, offers=offers, draws=200, **(priced or {}))
    made = report(
        plan=plan,
        manifest=BUNDLE.manifest,
        deployment=deployment or make_deployment(),
        run=make_run(samples),
        measurements=measurements,
        comparison=compare_priced(measurements, pricing),
        decisions=decisions(pricing, served_by(measurements)),
        now=STARTED + dt.timedelta(minutes=6),
        versions={"deploykit": "0.1.0"},
        not_exercised=NOT_EXERCISED if rehearsal else (),
    )
    return made.model_copy(update=changes)


CASES = {
    "rehearsal": lambda: make_report(
        plan=make_rehearsal_plan(), hourly=STAND_IN_RATE, deployment=make_deployment(memory=EngineMemory())
    ),
    "api-cheaper": make_report,
    "self-hosted-cheaper": lambda: make_report(hourly=CHEAP, offers=(ACME, OTHERS[1])),
    "slo-missed": lambda: make_report(samples=make_samples(slow=4.0)),
    "cached-unknown": lambda: make_report(samples=make_samples(cached=False), offers=(ACME,)),
    "invalid": lambda: make_report(measurements=measured(make_samples(), verdict="INVALID", caveats=(
        Caveat(code="loop-lag", weight=Weight.INVALID, says="The generator's loop lag was 218 ms at p99: it measured itself."),
    ))),
}  # fmt: skip
