"""Checkpoints with the layouts that fit -> the checkpoint and layout to serve, and what is predicted for a layout."""

from collections.abc import Iterable
from dataclasses import dataclass

from deploykit.planning.candidates import Candidate, max_context, predicted_subject
from deploykit.planning.choosing import Chosen, Fitting, choose, tried_layouts
from deploykit.planning.limits import traffic_of
from deploykit.planning.operating_point import demand_of, operating_point
from deploykit.planning.plan import Parallelism
from deploykit.planning.predicted import OperatingPoint
from deploykit.planning.request import PlanRequest
from deploykit.planning.settings import Footing, architecture_layouts


@dataclass(frozen=True)
class Picked:
    """The checkpoint and layout that won."""

    candidate: Candidate
    chosen: Chosen


def pick(request: PlanRequest, candidates: Iterable[Candidate]) -> Picked | None:
    """Pick the checkpoint that needs fewest nodes, takes the longest request and holds the peak; then the first."""
    traffic = traffic_of(request.workload)
    best: tuple[tuple[int, bool, bool], Picked] | None = None
    for candidate in candidates:
        if not candidate.fitting:
            continue
        tried = _tried(request, candidate)
        chosen = choose(
            candidate.fitting,
            candidate.ground.architecture,
            tpot_s=request.workload.slo.tpot_s,
            peak=traffic.peak,
            tried=tried,
        )
        context = max_context(candidate.ground.architecture, candidate.checkpoint)
        rank = (
            chosen.fitting.layout.nodes_per_engine,
            context < traffic.longest,
            traffic.peak is not None and chosen.fitting.capacity < traffic.peak,
        )
        if best is None or rank < best[0]:
            best = (rank, Picked(candidate, chosen))
    return best[1] if best else None


def passed_over_checkpoints(candidates: tuple[Candidate, ...], picked: Candidate) -> str:
    """Return which checkpoints come before the picked one, and why they were passed over."""
    before = candidates[: candidates.index(picked)]
    out = [f"`{c.checkpoint.name}` fits in no legal layout" for c in before if not c.fitting]
    worse = [f"`{c.checkpoint.name}` takes more nodes or less of the workload" for c in before if c.fitting]
    return "".join(f"; {reason}" for reason in (*out, *worse))


def _tried(request: PlanRequest, candidate: Candidate) -> tuple[Parallelism, ...]:
    on = Footing(checkpoint=candidate.checkpoint.name, expert=True)
    return tried_layouts(text for layout in architecture_layouts(request, on) for text in layout.tried)


def predicted_point(request: PlanRequest, candidate: Candidate, fitting: Fitting) -> OperatingPoint | None:
    """Return what is predicted for a layout under the request's workload; None without a calibration."""
    if request.calibration is None:
        return None
    subject = predicted_subject(request, candidate.checkpoint, candidate.ground, candidate.wishes, fitting.need)
    peak = traffic_of(request.workload).peak
    demand = demand_of(request.workload, peak=peak, caching=candidate.wishes.prefix_caching is not False)
    return operating_point(subject, request.calibration, demand, request.workload.slo, fitting.limits)
