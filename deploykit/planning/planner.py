"""A request -> a plan: checkpoint, layout, memory, limits and settings, each with its reason; or a PlanningError."""

from collections.abc import Iterable
from dataclasses import dataclass

from deploykit.catalog.node import Node
from deploykit.errors import PlanningError
from deploykit.planning.candidates import (
    Candidate,
    architecture_of,
    check_context,
    gpu_candidates,
    max_context,
    misfit,
)
from deploykit.planning.choosing import Chosen, choose, passed_over, tried_layouts
from deploykit.planning.doubts import gpu_doubts, rehearsal_doubts
from deploykit.planning.limits import limits_of, traffic_of
from deploykit.planning.memory import Ground, capacity_of, cpu_budget, gpu_budget, with_engine_figures
from deploykit.planning.plan import MemoryBudget, Parallelism, Plan, PlannedCheckpoint, RejectedLayout
from deploykit.planning.planned_settings import Decided, checkpoint_reason, planned_settings
from deploykit.planning.refusals import (
    api_only,
    check_gpu_facts,
    check_stand_in,
    does_not_fit,
    no_gpu,
    no_rehearsal,
    too_little_ram,
)
from deploykit.planning.request import PlanRequest
from deploykit.planning.settings import Footing, architecture_layouts, environment, later_choices, merge
from deploykit.planning.weights import Weights
from deploykit.planning.wishes import Wishes, read_wishes
from deploykit.units import GB, GIB

MOST_NODES = 8
"""How many nodes `smallest_that_fits` looks at."""


@dataclass(frozen=True)
class _Picked:
    """The checkpoint and layout that won."""

    candidate: Candidate
    chosen: Chosen


def plan(request: PlanRequest) -> Plan:
    """Return the plan for a request; PlanningError says, with the numbers, why there is none."""
    if not request.profile.open_weights:
        raise api_only(request)
    if request.stand_in is not None:
        return _rehearsal_plan(request)
    if request.node.gpu is None or request.node.gpu_count == 0:
        raise no_gpu(request)
    return _gpu_plan(request)


def smallest_that_fits(request: PlanRequest, nodes: Iterable[Node]) -> tuple[str, ...]:
    """Return the smallest node sets on which some checkpoint fits by arithmetic, as phrases, fewest machines first."""
    found: list[tuple[int, float, str]] = []
    for node in nodes:
        capacity = capacity_of(node.gpu) if node.gpu else None
        if capacity is None or node.gpu is None or node.gpu.capability is None:
            continue
        for count in range(1, MOST_NODES + 1):
            tried = request.model_copy(update={"node": node, "nodes": count, "stand_in": None})
            if _fits(tried):
                several = f"`{count} x {node.name}` (one engine over {count} nodes)" if count > 1 else f"`{node.name}`"
                found.append((count, count * node.gpu_count * capacity[0], several))
                break
    return tuple(phrase for _, _, phrase in sorted(found))


def _fits(request: PlanRequest) -> bool:
    try:
        return any(candidate.fitting for candidate in gpu_candidates(request))
    except PlanningError:
        return False


def _gpu_plan(request: PlanRequest) -> Plan:
    check_gpu_facts(request)
    check_context(request, read_wishes(later_choices(request, Footing())))
    candidates = tuple(gpu_candidates(request))
    picked = _pick(request, candidates)
    if picked is None:
        raise does_not_fit(request, candidates)
    candidate, chosen = picked.candidate, picked.chosen
    need, ground = chosen.fitting.need, candidate.ground
    capacity = capacity_of(request.node.gpu) if request.node.gpu else None
    budget = gpu_budget(need, ground, capacity_basis=capacity[1] if capacity else "unknown")
    budget = with_engine_figures(budget, need, chosen.fitting.limits)
    decided = Decided(
        layout=chosen.fitting.layout,
        layout_because=chosen.because,
        limits=chosen.fitting.limits,
        utilization=ground.utilization,
        checkpoint_because=checkpoint_reason(request, candidate.checkpoint) + _passed_over(candidates, candidate),
        kv_cache_bytes=None,
    )
    rejected = candidate.rejected + tuple(
        RejectedLayout(layout=f.layout, because=passed_over(f, chosen, tpot_s=request.workload.slo.tpot_s))
        for f in candidate.fitting
        if f is not chosen.fitting
    )
    served = PlannedCheckpoint(
        name=candidate.checkpoint.name,
        repo=candidate.checkpoint.repo,
        revision=candidate.checkpoint.revision,
        precision=candidate.checkpoint.precision,
        weights_gb=ground.weights.checkpoint_gb,
        weights_basis=ground.weights.basis,
    )
    on = Footing(checkpoint=candidate.checkpoint.name, expert=decided.layout.expert)
    made = _assemble(request, on, decided, budget, served)
    return made.model_copy(update={"rejected": rejected, "caveats": gpu_doubts(request, candidate, chosen, made)})


def _pick(request: PlanRequest, candidates: Iterable[Candidate]) -> _Picked | None:
    """Pick the checkpoint that needs fewest nodes, takes the longest request and holds the peak; then the first."""
    traffic = traffic_of(request.workload)
    best: tuple[tuple[int, bool, bool], _Picked] | None = None
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
            best = (rank, _Picked(candidate, chosen))
    return best[1] if best else None


def _passed_over(candidates: tuple[Candidate, ...], picked: Candidate) -> str:
    """Return which checkpoints come before the picked one, and why they were passed over."""
    before = candidates[: candidates.index(picked)]
    out = [f"`{c.checkpoint.name}` fits in no legal layout" for c in before if not c.fitting]
    worse = [f"`{c.checkpoint.name}` takes more nodes or less of the workload" for c in before if c.fitting]
    return "".join(f"; {reason}" for reason in (*out, *worse))


def _tried(request: PlanRequest, candidate: Candidate) -> tuple[Parallelism, ...]:
    on = Footing(checkpoint=candidate.checkpoint.name, expert=True)
    return tried_layouts(text for layout in architecture_layouts(request, on) for text in layout.tried)


def _rehearsal_plan(request: PlanRequest) -> Plan:
    engine, checkpoint, weights = check_stand_in(request)
    on = Footing(checkpoint=checkpoint.name)
    wishes = read_wishes(later_choices(request, on))
    check_context(request, wishes)
    ground = _host_ground(request, weights, wishes)
    need, budget = cpu_budget(ground, engine, ram_gb=request.node.host.ram_gb)
    if budget.available_gib > budget.capacity_gib:
        raise too_little_ram(request, budget)
    longest = max_context(ground.architecture, checkpoint)
    why = wishes.unmet_by(need.layout) or misfit(need, traffic_of(request.workload), wishes, longest)
    if why:
        raise no_rehearsal(request, why)
    limits = limits_of(
        need,
        traffic_of(request.workload),
        wishes,
        runtime="cpu",
        max_context=longest,
    )
    budget = with_engine_figures(budget, need, limits)
    decided = Decided(
        layout=Parallelism(),
        layout_because="one process on one CPU: the CPU build fails on data and expert parallelism",
        limits=limits,
        utilization=None,
        checkpoint_because="made on the spot: the right shape, random weights",
        kv_cache_bytes=round(budget.kv_gib * GIB),
    )
    served = PlannedCheckpoint(
        name=checkpoint.name,
        repo=checkpoint.repo,
        revision=checkpoint.revision,
        precision=checkpoint.precision,
        weights_gb=weights.gpu_gb,
        weights_basis=weights.basis,
    )
    made = _assemble(request, on, decided, budget, served)
    return made.model_copy(update={"caveats": rehearsal_doubts(request)})


def _host_ground(request: PlanRequest, weights: Weights, wishes: Wishes) -> Ground:
    return Ground(
        architecture=architecture_of(request),
        weights=weights,
        capability=0.0,
        capacity_bytes=(request.node.host.ram_gb or 0.0) * GB,
        utilization=1.0,
        kv_dtype=wishes.kv_storage,
        kv_cache_bytes=wishes.kv_cache_bytes,
        paging=request.engine.cpu.paging,
        page_tokens=wishes.page_tokens,
        prefix_caching=wishes.prefix_caching is not False,
    )


def _assemble(
    request: PlanRequest,
    on: Footing,
    decided: Decided,
    budget: MemoryBudget,
    checkpoint: PlannedCheckpoint,
) -> Plan:
    settings, replaced = merge(planned_settings(request, decided), later_choices(request, on))
    variables, replaced_variables = environment(request, on)
    name = next((c.value for c in settings if c.setting == "served-model-name"), request.profile.name)
    return Plan(
        model=request.profile.name,
        title=request.profile.title,
        node=request.node.name,
        nodes=request.nodes,
        gpus_per_node=request.node.gpu_count,
        workload=request.workload.name,
        engine=request.engine.name,
        engine_version=request.engine.version,
        runtime="cpu" if request.node.gpu is None else "cuda",
        stand_in=request.stand_in.name if request.stand_in else None,
        served_model_name=str(name[0] if isinstance(name, list) and name else name),
        checkpoint=checkpoint,
        parallelism=decided.layout,
        memory=budget,
        limits=decided.limits,
        settings=settings,
        environment=variables,
        overridden=replaced + replaced_variables,
    )
