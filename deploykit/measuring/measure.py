"""A load test run -> its measurements: windows, tokens, quantiles, the SLO's verdict, and how far all that can be believed.

Which rule each figure follows:

* `requests` are those that *ended* in a stage's window, and failures that outlived it (`window` has the definitions); the
  latency quantiles are of the same requests, those that failed censored (`censoring`). `tokens` counts the successful ones by the server's usage, and `usage` lists exactly these requests of
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

from deploykit.catalog.workload import Slo, Stage, TraceReplay
from deploykit.measuring import censoring
from deploykit.measuring import window as w
from deploykit.measuring.arrivals import audit_arrivals, process_of
from deploykit.measuring.dependence import inflation
from deploykit.measuring.doubts import doubts, verdict_of
from deploykit.measuring.ledger import engine_work, reconcile
from deploykit.measuring.measurements import Measurements, RequestUsage, StageMeasurement
from deploykit.measuring.power import StagePower, stage_power
from deploykit.measuring.quantiles import quantiles, withheld
from deploykit.measuring.reuse import meant_reuse
from deploykit.measuring.samples import LoadTestRun, RequestSample
from deploykit.measuring.series import binned, throughput
from deploykit.measuring.spread import within_run
from deploykit.measuring.steady import steady

MAX_COALESCED = 0.05
"""Above this share of token events that came together with another, gaps say more about the network than the engine."""


_JUST_BEFORE_S = 1e-6
"""A window does not hold its own beginning."""


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
        engine=engine_work(run),
        meant_reuse=meant_reuse(workload, counted),
        verdict=verdict_of(caveats),
        caveats=caveats,
    )


def _of_stage(run: LoadTestRun, index: int) -> list[RequestSample]:
    return [sample for sample in run.samples if sample.stage == index]


def _stage(index: int, stage: Stage, run: LoadTestRun, *, says_cached: bool) -> StageMeasurement:
    workload, samples = run.spec.workload, _of_stage(run, index)
    whole = w.Window(*_edges(run, index))
    if (
        isinstance(stage, TraceReplay) and samples
    ):  # it begins with its first request: what was silent before is not in it
        whole = whole._replace(start=max(whole.start, min(sample.intended_s for sample in samples) - _JUST_BEFORE_S))
    bins = binned(samples, whole)
    process = process_of(stage, sessions=any(sample.turn is not None for sample in samples))
    warmup_s = workload.warmup_s if index == 0 or run.warmup_each else 0.0
    window, steadiness = steady(bins, samples, whole, warmup_s=warmup_s, varies=_varies(stage))
    counted, failed = w.succeeded(samples, window), w.failed(samples, window)
    both = [*counted, *failed]
    in_order = sorted(both, key=lambda sample: sample.intended_s)
    fates = [sample.outcome == "ok" and w.is_good(sample, workload.slo) for sample in in_order]
    good = sum(fates)
    events = sum(len(sample.token_events_s) for sample in both)
    coalesced = sum(sample.coalesced_events for sample in both) / events if events else 0.0
    gaps = censoring.gaps(both)
    finished = [sample for sample in samples if sample.outcome == "ok"]
    output = math.fsum(w.output_tokens_in(sample, window) for sample in finished)
    arrived = output + sum(w.input_tokens_in(sample, window) for sample in finished)
    return StageMeasurement(
        stage=index,
        describes=w.describe(stage),
        window_start_s=window.start,
        window_end_s=window.end,
        requests=len(both),
        good_requests=good,
        good_inflation=inflation(fates),
        failures=w.failures(samples, window),
        tokens=w.token_counts(counted, says_cached=says_cached),
        output_tokens_per_s=_rate(output, window),
        total_tokens_per_s=_rate(arrived, window),
        requests_per_s=_rate(len(counted), window),
        ttft=quantiles(*censoring.ttft(both)),
        ttft_answer=quantiles(*censoring.answer_ttft(both)) if _tells_answers(run) else None,
        tpot=quantiles(*censoring.tpot(both)),
        itl=quantiles(*gaps, independent=False)
        if coalesced <= MAX_COALESCED
        else withheld(len(gaps.seen) + len(gaps.cut)),
        e2e=quantiles(*censoring.e2e(both)),
        send_lag=quantiles(
            s.sent_s - s.intended_s for s in samples if window.holds(s.intended_s) and s.sent_s is not None
        ),
        slo_met=_met(good, len(both), workload.slo),
        coalesced_share=coalesced,
        throughput=throughput(bins) if run.generator.stage_starts_s else (),
        steady=steadiness,
        arrivals=audit_arrivals(process, samples, whole) if process is not None else None,
        within_run=within_run(bins, counted, window, seed=workload.seed),
        power=_power(run, window, output, arrived),
    )


def _power(run: LoadTestRun, window: w.Window, output_tokens: float, tokens: float) -> StagePower | None:
    if run.power is None:
        return None
    begin, end = (run.generator.started_at + dt.timedelta(seconds=at) for at in (window.start, window.end))
    return stage_power(run.power, begin, end, output_tokens=output_tokens, tokens=tokens)


def _varies(stage: Stage) -> str | None:
    """Return what a stage is whose load is not meant to be steady from its beginning to its end; None of others."""
    if isinstance(stage, TraceReplay):
        return "trace"
    ramp = any(getattr(stage, name, None) is not None for name in ("to_users", "to_requests_per_s"))
    return "ramp" if ramp else None


def _tells_answers(run: LoadTestRun) -> bool:
    return any(sample.first_answer_s is not None for sample in run.samples)


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
