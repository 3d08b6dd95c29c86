"""A load test run -> its measurements: windows, tokens, quantiles, the SLO's verdict, and how far all that can be believed.

Which rule each figure follows:

* `tokens`, `requests` and the latency quantiles are of requests that *ended* in a stage's window (`window` has the
  definitions). `tokens` counts the successful ones by the server's usage, and `usage` lists exactly these requests of
  the priced stage: the two agree to the token, and they are what is priced.
* `output_tokens_per_s` and `total_tokens_per_s` are of tokens that *arrived* in the window, of successful requests;
  a request that straddles an edge counts in part. Over a long window both rules give one rate; over a short one
  this rate is the steadier.
* `requests_per_s` is of requests that ended well in the window.
* `slo_met` holds if the good requests are at least the SLO's share of all, failures among them.
* The priced stage is the one with most `total_tokens_per_s` among those that met the SLO; of all, if none did. A stage
  in whose window no request ended well is taken only if every stage is so: there is nothing in it to price.
"""

import datetime as dt
import math
from collections.abc import Sequence

from deploykit.catalog.workload import Slo, Stage
from deploykit.measuring import window as w
from deploykit.measuring.doubts import doubts, verdict_of
from deploykit.measuring.ledger import reconcile
from deploykit.measuring.measurements import Measurements, RequestUsage, StageMeasurement
from deploykit.measuring.quantiles import quantiles, withheld
from deploykit.measuring.samples import LoadTestRun, RequestSample

MAX_COALESCED = 0.05
"""Above this share of token events that came together with another, gaps say more about the network than the engine."""


def measure(run: LoadTestRun) -> Measurements:
    """Return what a load test measured; whatever it lacks becomes a caveat and a verdict, never an exception."""
    workload = run.spec.workload
    says_cached = any(sample.cached_tokens is not None for sample in run.samples)
    stages = tuple(_stage(index, stage, run, says_cached=says_cached) for index, stage in enumerate(workload.stages))
    priced = _priced(stages)
    window = w.Window(stages[priced].window_start_s, stages[priced].window_end_s)
    counted = w.succeeded(_of_stage(run, priced), window)
    reconciliation = reconcile(run, says_cached=says_cached)
    caveats = doubts(run, stages, priced, reconciliation)
    return Measurements(
        workload=workload.name,
        slo=workload.slo,
        stages=stages,
        priced_stage=priced,
        usage=tuple(_usage(sample, run.generator.started_at, says_cached=says_cached) for sample in counted),
        reconciliation=reconciliation,
        verdict=verdict_of(caveats),
        caveats=caveats,
    )


def _of_stage(run: LoadTestRun, index: int) -> list[RequestSample]:
    return [sample for sample in run.samples if sample.stage == index]


def _stage(index: int, stage: Stage, run: LoadTestRun, *, says_cached: bool) -> StageMeasurement:
    facts, samples = run.generator, _of_stage(run, index)
    whole = w.Window(*_edges(run, index))
    warmup_s = run.spec.workload.warmup_s if index == 0 else 0.0
    window = w.Window(min(whole.start + warmup_s, whole.end), whole.end)
    counted, failed = w.succeeded(samples, window), w.failures(samples, window)
    requests = len(counted) + sum(failed.values())
    good = sum(w.is_good(sample, run.spec.workload.slo) for sample in counted)
    events = sum(len(sample.token_events_s) for sample in counted)
    coalesced = sum(sample.coalesced_events for sample in counted) / events if events else 0.0
    gaps = [gap for sample in counted for gap in w.gaps(sample)]
    finished = [sample for sample in samples if sample.outcome == "ok"]
    output = math.fsum(w.output_tokens_in(sample, window) for sample in finished)
    arrived = output + sum(w.input_tokens_in(sample, window) for sample in finished)
    return StageMeasurement(
        stage=index,
        describes=w.describe(stage),
        window_start_s=window.start,
        window_end_s=window.end,
        requests=requests,
        good_requests=good,
        failures=failed,
        tokens=w.token_counts(counted, says_cached=says_cached),
        output_tokens_per_s=_rate(output, window),
        total_tokens_per_s=_rate(arrived, window),
        requests_per_s=_rate(len(counted), window),
        ttft=quantiles(value for sample in counted if (value := w.ttft(sample)) is not None),
        tpot=quantiles(value for sample in counted if (value := w.tpot(sample)) is not None),
        itl=quantiles(gaps) if coalesced <= MAX_COALESCED else withheld(len(gaps)),
        e2e=quantiles(w.e2e(sample) for sample in counted),
        send_lag=quantiles(
            s.sent_s - s.intended_s for s in samples if window.holds(s.intended_s) and s.sent_s is not None
        ),
        slo_met=_met(good, requests, run.spec.workload.slo),
        coalesced_share=coalesced,
        throughput=w.throughput(samples, whole) if facts.stage_starts_s else (),
    )


def _edges(run: LoadTestRun, index: int) -> tuple[float, float]:
    """Return when a stage began and stopped sending; a stage that never began is an empty window at the run's end."""
    starts, ends = run.generator.stage_starts_s, run.generator.stage_ends_s
    if index < len(starts) and index < len(ends):
        return starts[index], max(starts[index], ends[index])
    last = ends[-1] if ends else 0.0
    return last, last


def _rate(amount: float, window: w.Window) -> float:
    return amount / window.seconds if window.seconds > 0 else 0.0


def _met(good: int, requests: int, slo: Slo) -> bool:
    return requests > 0 and good >= slo.share * requests


def _priced(stages: Sequence[StageMeasurement]) -> int:
    served = [stage for stage in stages if stage.requests > sum(stage.failures.values())] or list(stages)
    candidates = [stage for stage in served if stage.slo_met] or served
    return max(candidates, key=lambda stage: stage.total_tokens_per_s).stage


def _usage(sample: RequestSample, started_at: dt.datetime, *, says_cached: bool) -> RequestUsage:
    sent = sample.sent_s if sample.sent_s is not None else sample.intended_s
    return RequestUsage(
        at=started_at + dt.timedelta(seconds=sent),
        input_tokens=sample.prompt_tokens or 0,
        cached_tokens=(sample.cached_tokens or 0) if says_cached else None,
        output_tokens=sample.output_tokens or 0,
    )
