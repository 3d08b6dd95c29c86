"""A model on a node without a run -> its mean request and how many tokens an hour it serves, and how that is known.

The planner's prediction where it has one; else a published point, in its own mix of tokens; else nothing is known.
"""

import datetime as dt
from decimal import Decimal

from deploykit.base import Value
from deploykit.catalog.catalog import Catalog
from deploykit.catalog.ranges import Range
from deploykit.catalog.requests import mean_request
from deploykit.catalog.throughput import PublishedThroughput
from deploykit.catalog.workload import Workload
from deploykit.caveat import Caveat, Weight
from deploykit.costing.bill import SECONDS_PER_HOUR, KindTokens, kinds
from deploykit.costing.capacity import Capacity
from deploykit.measuring.measurements import RequestUsage
from deploykit.planning.plan import Plan
from deploykit.planning.predicted import Prediction

_LEVEL = Decimal("0.8")


class Assumed(Value):
    """What stands in for a load test."""

    usage: RequestUsage
    of: str
    """What the mix of tokens is of."""
    capacity: Capacity | None
    caveats: tuple[Caveat, ...]

    @property
    def tokens(self) -> KindTokens:
        """The mean request's tokens by kind."""
        return kinds(self.usage)


def assume(catalog: Catalog, plan: Plan, workload: Workload, *, at: dt.datetime, tokens_per_s: Range | None) -> Assumed:
    """Return what is known without a run; `tokens_per_s` is the operator's own figure, input and output together."""
    usage, of = _of_workload(workload, at), f"the workload `{workload.name}`"
    if tokens_per_s is not None:
        bound = None if tokens_per_s.is_point else tokens_per_s
        capacity = Capacity(
            tokens_per_hour=tokens_per_s.central * SECONDS_PER_HOUR,
            low=bound.low * SECONDS_PER_HOUR if bound else None,
            high=bound.high * SECONDS_PER_HOUR if bound else None,
            basis="stated",
            says=f"{tokens_per_s} tokens/s, as you say",
        )
        return Assumed(usage=usage, of=of, capacity=capacity, caveats=())
    point = plan.predicted
    if point is not None and point.at_slo is not None:
        return Assumed(usage=usage, of=of, capacity=_predicted(point.at_slo), caveats=(_is_predicted(point.at_slo),))
    why = point.because if point is not None else "nothing predicts a rehearsal"
    published = _published(catalog, plan)
    if published is None:
        return Assumed(usage=usage, of=of, capacity=None, caveats=(_is_unknown(why),))
    if published.prompt_tokens is not None and published.output_tokens is not None:
        usage, of = _of_point(published, published.prompt_tokens, published.output_tokens, at), f"`{published.name}`"
    return Assumed(
        usage=usage,
        of=of,
        capacity=_of_published(published, plan, usage),
        caveats=(_is_published(published, why),),
    )


def _of_workload(workload: Workload, at: dt.datetime) -> RequestUsage:
    mean = mean_request(workload)
    return RequestUsage(
        at=at,
        input_tokens=round(mean.prompt),
        cached_tokens=round(mean.reusable),
        output_tokens=max(1, round(mean.output)),
    )


def _of_point(published: PublishedThroughput, prompt: int, output: int, at: dt.datetime) -> RequestUsage:
    cached = round(prompt * (published.cached_share or Decimal(0)))
    return RequestUsage(at=at, input_tokens=prompt, cached_tokens=cached, output_tokens=output)


def _predicted(prediction: Prediction) -> Capacity:
    per_output = prediction.total_tokens_per_s_per_gpu.central / prediction.output_tokens_per_s_per_gpu.central

    def hourly(output_tokens_per_s: float) -> Decimal:
        return Decimal(str(round(output_tokens_per_s * per_output, 3))) * SECONDS_PER_HOUR

    rate = prediction.output_tokens_per_s
    return Capacity(
        tokens_per_hour=hourly(rate.central),
        low=hourly(rate.low),
        high=hourly(rate.high),
        level=_LEVEL,
        basis="predicted",
        says=f"predicted at the most load within the SLO, {prediction.concurrency:,} requests in flight, 80 % interval, "
        f"{prediction.basis}",
    )


def _published(catalog: Catalog, plan: Plan) -> PublishedThroughput | None:
    every = (catalog.throughput(name) for name in catalog.names("throughputs"))
    return next((point for point in every if point.model == plan.model and plan.node in point.nodes), None)


def _of_published(point: PublishedThroughput, plan: Plan, usage: RequestUsage) -> Capacity:
    whole = plan.nodes * plan.gpus_per_node
    per_s = point.tokens_per_s * whole / point.gpus
    if point.counts == "output":
        per_s = per_s * (usage.input_tokens + usage.output_tokens) / usage.output_tokens
    return Capacity(
        tokens_per_hour=per_s * SECONDS_PER_HOUR, basis="published", says=f"published: {point.title} ({point.source})"
    )


def _is_predicted(prediction: Prediction) -> Caveat:
    notes = f": {'; '.join(prediction.notes)}" if prediction.notes else ""
    says = f"The throughput is predicted, not measured{notes}. `deploykit up` measures."
    return Caveat(code="throughput-predicted", weight=Weight.DOUBT, says=says)


def _is_published(point: PublishedThroughput, why: str) -> Caveat:
    mix = " Its mix of tokens is not published: the workload's stands in for it." if point.prompt_tokens is None else ""
    says = (
        f"The throughput is one published point, with {point.concurrency or 'an unknown number of'} requests at once on "
        f"{point.engine}: its error is unknown, and so is whether it meets this SLO. There is no prediction: {why}.{mix}"
    )
    return Caveat(code="throughput-published", weight=Weight.DOUBT, says=says)


def _is_unknown(why: str) -> Caveat:
    says = f"How many tokens the node serves is unknown: {why}, and no point is published. State it: --tokens-per-s."
    return Caveat(code="throughput-unknown", weight=Weight.DOUBT, says=says)
