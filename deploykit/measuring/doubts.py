"""A measured run -> the doubts about it, and its verdict.

INVALID: the numbers must not be used; UNCLEAR: at least one doubt stands; VALID: neither. Notes change nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from deploykit.catalog.workload import OpenLoop
from deploykit.caveat import Caveat, Weight
from deploykit.measuring.certifying import certificate_doubts
from deploykit.measuring.health import generator_doubts
from deploykit.measuring.ledger import restarted, without_usage
from deploykit.measuring.left_out import left_out
from deploykit.measuring.measurements import Reconciliation, StageMeasurement
from deploykit.measuring.quantiles import NEEDED
from deploykit.measuring.reuse import replay_notes
from deploykit.measuring.samples import LoadTestRun, RequestSample
from deploykit.measuring.window import ended_at

_FAILED_NOTE, _FAILED_INVALID = 0.01, 0.05
_LEDGER_DOUBT, _LEDGER_INVALID = 0.005, 0.02
_LENGTH_OFF = 0.05
_BACKLOG_SHARE, _BACKLOG_REQUESTS = 0.1, 5
_COALESCED = 0.05

_FEWEST = 0.9
"""A window without the requests for this quantile says too little to be VALID."""


def doubts(
    run: LoadTestRun, stages: Sequence[StageMeasurement], priced: int, reconciliation: Reconciliation
) -> tuple[Caveat, ...]:
    """Return every doubt, the gravest first."""
    found = [
        *_engine(run),
        *_requests(run, stages[priced]),
        *_ledger(run, reconciliation),
        *generator_doubts(run, stages[priced]),
        *certificate_doubts(run, stages[priced]),
        *_stages(run, stages, priced),
        *left_out(run, stages),
        *_lengths(run),
        *replay_notes(run),
    ]
    gravest_first = [Weight.INVALID, Weight.DOUBT, Weight.NOTE]
    return tuple(sorted(found, key=lambda caveat: gravest_first.index(caveat.weight)))


def verdict_of(caveats: Sequence[Caveat]) -> Literal["VALID", "INVALID", "UNCLEAR"]:
    """Return what the caveats amount to."""
    weights = {caveat.weight for caveat in caveats}
    if Weight.INVALID in weights:
        return "INVALID"
    return "UNCLEAR" if Weight.DOUBT in weights else "VALID"


def _engine(run: LoadTestRun) -> Iterator[Caveat]:
    if run.engine_ended:
        yield _invalid("engine-ended", f"the engine ended during the load test: {run.engine_ended}")


def _requests(run: LoadTestRun, priced: StageMeasurement) -> Iterator[Caveat]:
    failed = [sample for sample in run.samples if sample.outcome != "ok"]
    well = len(run.samples) - len(failed)
    if well == 0:
        yield _invalid("no-success", f"none of {len(run.samples)} requests succeeded{_commonest(failed)}")
    elif failed:
        share = len(failed) / len(run.samples)
        weight = Weight.NOTE if share <= _FAILED_NOTE else Weight.DOUBT if share <= _FAILED_INVALID else Weight.INVALID
        says = f"{len(failed)} of {len(run.samples)} requests failed ({share:.1%}){_commonest(failed)}"
        yield Caveat(code="failures", weight=weight, says=says)
    if well and priced.requests == sum(priced.failures.values()):
        yield _invalid(
            "empty-window", f"no request ended well in the {priced.window_s:.1f} s of stage {priced.stage + 1}'s window"
        )
    unknown = sum(sample.outcome == "ok" and sample.output_tokens is None for sample in run.samples)
    if unknown:
        yield _invalid(
            "usage-missing", f"{unknown} of {well} successful answers came without usage: their tokens can't be counted"
        )


def _commonest(failed: Sequence[RequestSample]) -> str:
    """Return the most frequent failure, with what was said about it."""
    if not failed:
        return ""
    (outcome, error), count = Counter((sample.outcome, sample.error) for sample in failed).most_common(1)[0]
    return f", {count} of them with `{outcome}`: {error}" if error else f", {count} of them with `{outcome}`"


def _events(found: Reconciliation) -> Iterator[Caveat]:
    """Tell events that hold several tokens, and doubt events without one."""
    if not found.events or found.event_tokens is None:
        return
    difference = (found.event_tokens - found.events) / max(found.event_tokens, found.events)
    counts = f"{found.events} events with text and {found.event_tokens} output tokens by usage"
    if difference > _LEDGER_DOUBT:
        yield _note(
            "tokens-per-event",
            f"{counts}: an event held {found.event_tokens / found.events:.2f} tokens on average, so ITL is the gap between "
            "events, not between tokens",
        )
    elif difference < -_LEDGER_DOUBT:
        weight = Weight.INVALID if difference < -_LEDGER_INVALID else Weight.DOUBT
        says = f"{counts}: no event lacks a token, so one of the two counts is wrong by {-difference:.2%}"
        yield Caveat(code="events-without-tokens", weight=weight, says=says)


def _ledger(run: LoadTestRun, found: Reconciliation) -> Iterator[Caveat]:
    yield from _events(found)
    if restarted(run):
        yield _invalid("engine-restarted", "the engine's counters went down during the run: it was restarted")
        return
    if found.engine is None or found.difference is None:
        yield _note(
            "not-reconciled", "the engine's counters could not be read, so the token counts rest on its responses alone"
        )
        return
    if found.difference > _LEDGER_DOUBT:
        lost = len(without_usage(run))
        says = (
            f"responses and engine counters differ by {found.difference:.2%}: input {found.client.input} and "
            f"{found.engine.input}, output {found.client.output} and {found.engine.output} tokens"
        )
        kinds = ((found.client.input, found.engine.input), (found.client.output, found.engine.output))
        missing = any(client - engine > _LEDGER_DOUBT * client for client, engine in kinds)
        if missing:  # no request that failed explains that
            says += "; the engine counted less than it answered: it was started anew, or another one answered too"
        elif lost:
            says += f"; {lost} requests ended without usage, and the engine counted what it did for them"
        else:
            says += "; somebody else asked the engine meanwhile (a gateway's own probes are a few tokens each)"
        grave = found.difference > _LEDGER_INVALID and (missing or not lost)
        yield Caveat(code="token-ledger", weight=Weight.INVALID if grave else Weight.DOUBT, says=says)
    if found.client.cached_input is None and found.engine.cached_input:
        yield _note(
            "cached-unknown",
            f"the engine took {found.engine.cached_input} input tokens from its cache, but its responses do not say which; "
            "`enable-prompt-tokens-details` makes them",
        )
    if run.before and run.after and (count := (run.after.preemptions or 0) - (run.before.preemptions or 0)) > 0:
        yield _note("preemptions", f"the engine ran out of KV cache and preempted {count} requests")


def _stages(run: LoadTestRun, stages: Sequence[StageMeasurement], priced: int) -> Iterator[Caveat]:
    if not any(stage.slo_met for stage in stages):
        best = stages[priced]
        yield _doubt(
            "slo-missed",
            f"no stage met the SLO; in the priced one {best.good_requests} of {best.requests} requests were good, "
            f"{run.spec.workload.slo.share:.0%} must be",
        )
    for stage in stages:
        if stage.coalesced_share > _COALESCED:
            yield _note(
                "itl-withheld",
                f"stage {stage.stage + 1}: {stage.coalesced_share:.0%} of token events came in one read with another, so "
                "the gaps between tokens are not told",
            )
        if stage.steady is not None and stage.steady.method == "mser-5" and not stage.steady.found:
            yield _doubt(
                "not-steady",
                f"stage {stage.stage + 1} was never steady: {stage.steady.why}. Its numbers depend on how long it lasted",
            )
        if stage.arrivals is not None and stage.arrivals.passed is False:
            failed = "; ".join(stage.arrivals.failed)
            yield _doubt(
                "arrivals", f"stage {stage.stage + 1}: requests did not come as {stage.arrivals.process}: {failed}"
            )
        yield from _backlog(run, stage)
    yield from _few(stages[priced])


def _backlog(run: LoadTestRun, stage: StageMeasurement) -> Iterator[Caveat]:
    """Doubt an open loop whose answers fall ever further behind: it measures the run's length, not the engine."""
    if not isinstance(run.spec.workload.stages[stage.stage], OpenLoop):
        return
    samples = [sample for sample in run.samples if sample.stage == stage.stage]

    def in_flight(at: float) -> int:
        return sum(sample.intended_s <= at < ended_at(sample) for sample in samples)

    arrived = sum(stage.window_start_s < sample.intended_s <= stage.window_end_s for sample in samples)
    growth = in_flight(stage.window_end_s) - in_flight(stage.window_start_s)
    if growth > max(_BACKLOG_REQUESTS, _BACKLOG_SHARE * arrived):
        yield _doubt(
            "backlog",
            f"stage {stage.stage + 1}: requests in flight grew by {growth} while {arrived} arrived: the engine did not "
            "keep up, and the latencies depend on how long the stage lasted",
        )


def _few(priced: StageMeasurement) -> Iterator[Caveat]:
    missing = [f"p{p * 100:.0f} needs {need}" for p, need in NEEDED.items() if priced.e2e.count < need]
    if priced.e2e.count and missing:
        says = f"{priced.e2e.count} requests in the priced window: {', '.join(missing)}"
        too_few = priced.e2e.count < NEEDED[_FEWEST]
        yield _doubt("few-requests", f"only {says}") if too_few else _note("few-requests", says)


def _lengths(run: LoadTestRun) -> Iterator[Caveat]:
    well = [sample for sample in run.samples if sample.outcome == "ok"]
    prompts = [(s.prompt_tokens, s.wanted_prompt_tokens) for s in well if s.prompt_tokens and s.wanted_prompt_tokens]
    got, wanted = sum(got for got, _ in prompts), sum(wanted for _, wanted in prompts)
    if wanted and abs(got / wanted - 1) > _LENGTH_OFF:
        yield _note(
            "prompt-length",
            f"prompts were {got / len(prompts):.0f} tokens long on average where {wanted / len(prompts):.0f} were asked for",
        )
    answers = [(s.output_tokens, s.wanted_output_tokens) for s in well if s.output_tokens is not None]
    got, wanted = sum(got for got, _ in answers), sum(wanted for _, wanted in answers)
    if run.spec.workload.ignore_eos and wanted and abs(got / wanted - 1) > _LENGTH_OFF:
        yield _doubt(
            "output-length",
            f"answers were {got / len(answers):.0f} tokens long on average where {wanted / len(answers):.0f} were forced",
        )


def _invalid(code: str, says: str) -> Caveat:
    return Caveat(code=code, weight=Weight.INVALID, says=says)


def _doubt(code: str, says: str) -> Caveat:
    return Caveat(code=code, weight=Weight.DOUBT, says=says)


def _note(code: str, says: str) -> Caveat:
    return Caveat(code=code, weight=Weight.NOTE, says=says)
