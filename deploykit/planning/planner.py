"""A request -> a plan: checkpoint, layout, memory, limits and settings, each with its reason; or a PlanningError."""

from collections.abc import Iterable

from deploykit.catalog.node import Node
from deploykit.errors import PlanningError
from deploykit.planning.candidates import (
    architecture_of,
    check_context,
    gpu_candidates,
    max_context,
    misfit,
)
from deploykit.planning.choosing import passed_over
from deploykit.planning.disaggregation import disaggregated
from deploykit.planning.doubts import gpu_doubts, rehearsal_doubts
from deploykit.planning.limits import limits_of, traffic_of
from deploykit.planning.memory import Ground, capacity_of, cpu_budget, gpu_budget, with_engine_figures
from deploykit.planning.offload import offload_for
from deploykit.planning.operations import operations_of
from deploykit.planning.picking import passed_over_checkpoints, pick, predicted_point
from deploykit.planning.plan import MemoryBudget, Parallelism, Plan, PlannedCheckpoint, RejectedLayout
from deploykit.planning.planned_settings import Decided, checkpoint_reason, planned_settings
from deploykit.planning.refusals import (
    api_only,
    check_gpu_facts,
    check_stand_in,
    does_not_fit,
    no_gpu,
    no_rehearsal,
    not_as_many_hosts,
    too_little_ram,
)
from deploykit.planning.request import PlanRequest
from deploykit.planning.rules import check_rules
from deploykit.planning.settings import Footing, environment, later_choices, merge
from deploykit.planning.speculation import AUTO, OFF, check_speculation, draft_of, speculation_for
from deploykit.planning.weights import Weights
from deploykit.planning.wishes import Wishes, read_wishes
from deploykit.units import GB, GIB

MOST_NODES = 8
"""How many nodes `smallest_that_fits` looks at."""


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
        # Nobody joins machines of one GPU to an engine: what is rented by the piece has no network for that.
        for count in range(1, MOST_NODES + 1 if node.gpu_count > 1 else 2):
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
    check_speculation(request)
    check_context(request, read_wishes(later_choices(request, Footing())))
    candidates = tuple(gpu_candidates(request))
    picked = pick(request, candidates)
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
        checkpoint_because=checkpoint_reason(request, candidate.checkpoint)
        + passed_over_checkpoints(candidates, candidate),
        kv_cache_bytes=None,
        speculation=speculation_for(request, candidate.checkpoint),
        offload=offload_for(request, ground, need, chosen.fitting.limits, traffic_of(request.workload)),
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
    check_rules(request, made.settings, layout=decided.layout, checkpoint=candidate.checkpoint)
    caveats = gpu_doubts(request, candidate, chosen, made, decided.offload)
    asks = operations_of(request, candidate.checkpoint, ground.weights, decided.layout, decided.offload)
    pools = disaggregated(request, made)
    return made.model_copy(
        update={
            "rejected": rejected,
            "alternatives": (pools,) if pools else (),
            "operations": asks,
            "draft": draft_of(decided.speculation) if decided.speculation else None,
            "predicted": predicted_point(request, candidate, chosen.fitting),
            "caveats": caveats,
        }
    )


def _rehearsal_plan(request: PlanRequest) -> Plan:
    engine, checkpoint, weights = check_stand_in(request)
    if request.speculation not in {OFF, AUTO}:
        raise no_rehearsal(request, f"no stand-in carries a draft for `{request.speculation}`")
    on = Footing(checkpoint=checkpoint.name)
    wishes = read_wishes(later_choices(request, on))
    check_context(request, wishes)
    if wishes.tensor is not None and wishes.tensor not in {1, request.nodes}:
        raise not_as_many_hosts(request, wishes.tensor)
    ground = _host_ground(request, weights, wishes)
    # One process on each host, and no more: a replica, or a rank of the one engine over all of them.
    spans = request.nodes > 1 and wishes.tensor == request.nodes
    engine_layout = Parallelism(tensor=request.nodes, nodes_per_engine=request.nodes) if spans else Parallelism()
    need, budget = cpu_budget(ground, engine, engine_layout, ram_gb=request.node.host.ram_gb)
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
        layout=engine_layout if spans else Parallelism(replicas=request.nodes),
        layout_because="one engine over all hosts, a rank on each, as `tensor-parallel-size` wants"
        if spans
        else "one process on one CPU: the CPU build fails on data and expert parallelism",
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
        paging=request.engine.build("cpu").paging,
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
