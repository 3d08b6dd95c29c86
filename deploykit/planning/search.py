"""One model and workload on many machines -> every layout that fits, ranked by what a million tokens is predicted to cost.

A cost is always a range: the cheapest rate over the fastest prediction to the dearest over the slowest. The order is by
the middle of both; machines without a prediction come after, by their price per hour.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import Slo
from deploykit.errors import PlanningError
from deploykit.planning.candidates import Candidate, gpu_candidates, predicted_subject
from deploykit.planning.choosing import Fitting
from deploykit.planning.limits import traffic_of
from deploykit.planning.operating_point import Demand, at_load, demand_of
from deploykit.planning.picking import pick, predicted_point
from deploykit.planning.plan import Parallelism
from deploykit.planning.planner import MOST_NODES
from deploykit.planning.predicted import OperatingPoint, Prediction
from deploykit.planning.refusals import check_gpu_facts, does_not_fit
from deploykit.planning.request import PlanRequest
from deploykit.planning.speculation import check_speculation
from deploykit.units import MILLION

SECONDS_PER_HOUR = 3600


class Rates(Value):
    """What one node's hour costs, over its known rates."""

    low: Decimal
    middle: Decimal
    high: Decimal


class UsdRange(Value):
    """Dollars per million tokens of the workload's mix, prompt tokens (cached or not) and output together."""

    low: Decimal
    middle: Decimal
    high: Decimal


class CurvePoint(Value):
    """One load of a layout, predicted: how fast each user's answer comes, and how much each GPU gives."""

    concurrency: int
    tokens_per_s_per_user: float
    output_tokens_per_s_per_gpu: float


class Option(Value):
    """One layout on one kind of machine."""

    node: str
    nodes: int
    checkpoint: str
    precision: str
    layout: Parallelism
    planners: bool = Field(description="What `plan` takes on this machine.")
    kv_tokens: int = Field(description="Tokens of context that fit all engines together.")
    point: OperatingPoint
    curve: tuple[CurvePoint, ...] = Field(description="From one request up; empty without a prediction.")
    usd_per_hour: Rates | None = Field(description="Of all its nodes; null where no rate is known.")
    usd_per_m: UsdRange | None = Field(description="Predicted, fully loaded at the SLO; null where it cannot be said.")


class Refused(Value):
    """A machine without a layout."""

    node: str
    because: str


class Ranking(Value):
    """Every option, best first."""

    model: str
    workload: str
    slo: Slo
    demand: Demand
    options: tuple[Option, ...]
    refused: tuple[Refused, ...]


def search(requests: Iterable[PlanRequest], rates: Mapping[str, Rates]) -> Ranking:
    """Return all options of one model and workload; `requests` differ in their node alone, `rates` are by its name."""
    options: list[Option] = []
    refused: list[Refused] = []
    last: PlanRequest | None = None
    for request in requests:
        last = request
        found = _on(request, rates.get(request.node.name))
        if isinstance(found, Refused):
            refused.append(found)
        else:
            options += found
    if last is None:
        msg = "a search needs at least one machine"
        raise ValueError(msg)
    return Ranking(
        model=last.profile.name,
        workload=last.workload.name,
        slo=last.workload.slo,
        demand=_demand(last),
        options=tuple(sorted(options, key=_order)),
        refused=tuple(refused),
    )


def within(ranking: Ranking, *, budget: Decimal | None, min_throughput: float | None) -> Ranking:
    """Return the options that pass both filters; one without the figure that a filter is about does not pass it.

    `budget` is USD per hour of all nodes at the middle rate, `min_throughput` output tokens per second within the SLO.
    """
    kept = tuple(o for o in ranking.options if _affordable(o, budget) and _enough(o, min_throughput))
    return ranking.model_copy(update={"options": kept})


def frontier(options: Iterable[Option]) -> tuple[tuple[Option, CurvePoint], ...]:
    """Return the points that no other beats in both speed per user and output per GPU, slowest per user first."""
    every = [(option, point) for option in options for point in option.curve]
    every.sort(key=lambda pair: (-pair[1].tokens_per_s_per_user, -pair[1].output_tokens_per_s_per_gpu))
    best, most = [], -1.0
    for option, point in every:
        if point.output_tokens_per_s_per_gpu > most:
            most = point.output_tokens_per_s_per_gpu
            best.append((option, point))
    return tuple(reversed(best))


def usd_per_m(rates: Rates, prediction: Prediction) -> UsdRange:
    """Return the price of a million tokens of the mix: USD per hour / (tokens per second x 3600) x 10^6."""
    # Throughput of the mix is that of the output times the tokens a request has for each of its output.
    per_output = prediction.total_tokens_per_s_per_gpu.central / prediction.output_tokens_per_s_per_gpu.central
    out = prediction.output_tokens_per_s

    def price(usd_per_hour: Decimal, output_per_s: float) -> Decimal:
        hourly = Decimal(str(round(output_per_s * per_output * SECONDS_PER_HOUR, 3)))
        return usd_per_hour * MILLION / hourly

    return UsdRange(
        low=price(rates.low, out.high), middle=price(rates.middle, out.central), high=price(rates.high, out.low)
    )


def _on(request: PlanRequest, rates: Rates | None) -> list[Option] | Refused:
    """Return the options on the fewest nodes of a kind on which the model fits."""
    name, why = request.node.name, "it does not fit"
    for nodes in range(request.nodes, MOST_NODES + 1):
        tried = request.model_copy(update={"nodes": nodes})
        try:
            check_gpu_facts(tried)
            check_speculation(tried)
            candidates = tuple(gpu_candidates(tried))
        except PlanningError as error:
            return Refused(node=name, because=error.what)
        picked = pick(tried, candidates)
        if picked is not None:
            candidate, chosen = picked.candidate, picked.chosen.fitting
            return [_option(tried, candidate, f, rates, planners=f is chosen) for f in candidate.fitting]
        if nodes == request.nodes:
            why = does_not_fit(tried, candidates).what
    return Refused(node=name, because=why)


def _option(
    request: PlanRequest, candidate: Candidate, fitting: Fitting, rates: Rates | None, *, planners: bool
) -> Option:
    point = predicted_point(request, candidate, fitting) or OperatingPoint(
        verdict="unknown", at_peak=None, at_slo=None, because="the release has no calibration"
    )
    hourly = None if rates is None else _times(rates, request.nodes)
    return Option(
        node=request.node.name,
        nodes=request.nodes,
        checkpoint=candidate.checkpoint.name,
        precision=candidate.checkpoint.precision,
        layout=fitting.layout,
        planners=planners,
        kv_tokens=fitting.need.rank_tokens * fitting.layout.data * fitting.layout.replicas,
        point=point,
        curve=_curve(request, candidate, fitting) if point.at_slo or point.at_peak else (),
        usd_per_hour=hourly,
        usd_per_m=usd_per_m(hourly, point.at_slo) if hourly and point.at_slo else None,
    )


def _curve(request: PlanRequest, candidate: Candidate, fitting: Fitting) -> tuple[CurvePoint, ...]:
    subject = predicted_subject(request, candidate.checkpoint, candidate.ground, candidate.wishes, fitting.need)
    if subject is None or request.calibration is None:
        return ()
    points: list[CurvePoint] = []
    most = fitting.limits.max_num_seqs * subject.ranks
    concurrency = subject.ranks
    while concurrency <= most:
        found = at_load(subject, request.calibration, _demand(request), concurrency)
        if isinstance(found, Prediction):
            points.append(
                CurvePoint(
                    concurrency=concurrency,
                    tokens_per_s_per_user=1 / found.tpot_s.central,
                    output_tokens_per_s_per_gpu=found.output_tokens_per_s_per_gpu.central,
                )
            )
        concurrency *= 2
    return tuple(points)


def _demand(request: PlanRequest) -> Demand:
    return demand_of(request.workload, peak=traffic_of(request.workload).peak, caching=True)


def _times(rates: Rates, nodes: int) -> Rates:
    return Rates(low=rates.low * nodes, middle=rates.middle * nodes, high=rates.high * nodes)


def _order(option: Option) -> tuple[object, ...]:
    hourly = option.usd_per_hour.middle if option.usd_per_hour else Decimal("Infinity")
    million = option.usd_per_m.middle if option.usd_per_m else Decimal("Infinity")
    return (million, hourly, not option.planners, option.node, str(option.layout))


def _affordable(option: Option, budget: Decimal | None) -> bool:
    return budget is None or (option.usd_per_hour is not None and option.usd_per_hour.middle <= budget)


def _enough(option: Option, wanted: float | None) -> bool:
    best = option.point.at_slo
    return wanted is None or (best is not None and best.output_tokens_per_s.central >= wanted)
