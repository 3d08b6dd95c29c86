"""Our measurements and what is known of an offer -> whether both sell the same service: only then are prices comparable."""

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.score import PublishedScores
from deploykit.measuring.measurements import Interval, Measurements

Verdict = Literal["match", "differs", "not measured"]
Tier = Literal["standard", "batch", "priority"]

WORSE = 1.10
"""So many times slower than the API still is the same pace; faster always is."""

VERBOSITY = 0.10
"""Output tokens per request may differ by this share."""

QUALITY_MARGIN = 0.05
"""Our pass rate may be lower by so much: an equivalence margin, which the interval has to stay within."""


class Service(Value):
    """What a load test saw of one side."""

    run: str
    workload: str
    usable: bool = Field(description="Whether the run is not INVALID.")
    requests: int
    tokens_per_s_per_user: float | None
    ttft_p50_s: float | None
    output_tokens_per_request: float | None


class QualityDifference(Value):
    """Our pass rate less theirs on the user's own tasks."""

    tasks: str
    task_count: int
    difference: float
    interval: Interval


class OfferEvidence(Value):
    """What is known of an offer beside its price; null is not measured."""

    offer: str
    service: Service | None = None
    tier: Tier | None = Field(None, description="That the price is of, as the operator says.")
    quality: QualityDifference | None = None


class ParityInputs(Value):
    """`parity.json`: all that parity is decided by, beside the run's own measurements."""

    format: Literal["deploykit/parity/1"] = "deploykit/parity/1"
    tier: Tier = Field("standard", description="Ours: callers wait for each answer.")
    offers: tuple[OfferEvidence, ...] = ()
    published: tuple[PublishedScores, ...] = ()

    def of(self, offer: str) -> OfferEvidence:
        """Return what is known of an offer."""
        return next((each for each in self.offers if each.offer == offer), OfferEvidence(offer=offer))


class ParityRow(Value):
    """One thing that must match before prices are compared."""

    what: Literal["tokens/s per user", "TTFT", "output tokens per request", "tier", "quality"]
    verdict: Verdict
    says: str


class OfferParity(Value):
    """Whether an offer is the same service as ours."""

    offer: str
    rows: tuple[ParityRow, ...]
    comparable: bool | None = Field(description="Null where nothing differs and not all was measured.")
    says: str


def service_of(run: str, measured: Measurements) -> Service:
    """Return what a run saw, in the stage that is priced; a median of too few requests is not known."""
    priced = measured.priced
    return Service(
        run=run,
        workload=measured.workload,
        usable=measured.verdict != "INVALID",
        requests=priced.requests,
        tokens_per_s_per_user=1 / priced.tpot.p50 if priced.tpot.p50 else None,
        ttft_p50_s=priced.ttft.p50,
        output_tokens_per_request=_per_request(measured),
    )


def parity(inputs: ParityInputs, ours: Service, offers: Sequence[str]) -> tuple[OfferParity, ...]:
    """Return each offer's parity with us.

    Ours may be better in pace: what has to hold is that ours is not slower, by over a tenth, and that both answer alike.
    Quality matches if the interval of the difference stays above the margin, differs if all of it lies below, and is not
    decided else.
    """
    return tuple(_of(inputs.of(offer), ours, inputs.tier) for offer in offers)


def _of(evidence: OfferEvidence, ours: Service, tier: Tier) -> OfferParity:
    rows = (*_service_rows(ours, evidence.service), _tier(tier, evidence.tier), _quality(evidence.quality))
    named = {verdict: [row for row in rows if row.verdict == verdict] for verdict in ("differs", "not measured")}
    if named["differs"]:
        reasons = "; ".join(f"{row.what}: {row.says}" for row in named["differs"])
        comparable, says = False, f"not comparable, because {reasons}"
    elif len(named["not measured"]) == len(rows):
        comparable, says = None, "nothing but the price is known of it"
    elif named["not measured"]:
        comparable, says = None, f"not measured: {', '.join(row.what for row in named['not measured'])}"
    else:
        comparable, says = True, "comparable"
    return OfferParity(offer=evidence.offer, rows=rows, comparable=comparable, says=says)


def _service_rows(ours: Service, theirs: Service | None) -> tuple[ParityRow, ...]:
    pace, ttft, length = "tokens/s per user", "TTFT", "output tokens per request"
    why = _unusable(ours, theirs)
    if theirs is None or why:
        says = why or "no load test of the API"
        return tuple(_row(what, "not measured", says) for what in (pace, ttft, length))
    return (
        _judged(pace, ours.tokens_per_s_per_user, theirs.tokens_per_s_per_user, _not_slower, "{:.3g}"),
        _judged(ttft, ours.ttft_p50_s, theirs.ttft_p50_s, lambda a, b: a <= b * WORSE, "{:.3g} s"),
        _judged(length, ours.output_tokens_per_request, theirs.output_tokens_per_request, _as_long, "{:.4g}"),
    )


def _unusable(ours: Service, theirs: Service | None) -> str:
    if not ours.usable:
        return "our load test is INVALID"
    if theirs is None:
        return ""
    if not theirs.usable:
        return f"the API's load test {theirs.run} is INVALID"
    if theirs.workload != ours.workload:
        return f"the API's load test was of the workload {theirs.workload}, ours of {ours.workload}"
    return ""


def _not_slower(ours: float, theirs: float) -> bool:
    return ours * WORSE >= theirs


def _as_long(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= VERBOSITY * theirs


def _judged(
    what: str, ours: float | None, theirs: float | None, holds: Callable[[float, float], bool], shown: str
) -> ParityRow:
    if ours is None or theirs is None:
        whose = "ours" if ours is None else "the API's"
        return _row(what, "not measured", f"too few requests for {whose}")
    return _row(
        what, "match" if holds(ours, theirs) else "differs", f"ours {shown.format(ours)}, theirs {shown.format(theirs)}"
    )


def _tier(ours: Tier, theirs: Tier | None) -> ParityRow:
    if theirs is None:
        return _row("tier", "not measured", "nobody said which tier the price is of")
    return _row("tier", "match" if ours == theirs else "differs", f"ours {ours}, theirs {theirs}")


def _quality(found: QualityDifference | None) -> ParityRow:
    if found is None:
        return _row("quality", "not measured", "no task set was asked of both")
    low, high = found.interval.low, found.interval.high
    says = (
        f"our pass rate less theirs is {found.difference:+.1%} ({low:+.1%} to {'unknown' if high is None else f'{high:+.1%}'}) "
        f"over {found.task_count} tasks of {found.tasks}"
    )
    if low >= -QUALITY_MARGIN:
        return _row("quality", "match", says)
    if high is not None and high < -QUALITY_MARGIN:
        return _row("quality", "differs", says)
    return _row("quality", "not measured", f"too few tasks to tell: {says}")


def _row(what: str, verdict: Verdict, says: str) -> ParityRow:
    return ParityRow.model_validate({"what": what, "verdict": verdict, "says": says})


def _per_request(measured: Measurements) -> float | None:
    usage = measured.usage
    return sum(request.output_tokens for request in usage) / len(usage) if usage else None
