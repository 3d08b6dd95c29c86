"""Why there is no plan: each refusal names the fact or number in the way, where it stands, and what to do."""

from collections.abc import Sequence

from deploykit.catalog.node import CpuEngine
from deploykit.catalog.profile import Checkpoint
from deploykit.errors import DoesNotFitError, Place, PlanningError
from deploykit.planning.candidates import Candidate
from deploykit.planning.plan import MemoryBudget
from deploykit.planning.request import PlanRequest
from deploykit.planning.weights import Weights, weights_of


def api_only(request: PlanRequest) -> PlanningError:
    """Return the refusal of a model that is only sold as a service."""
    name = request.profile.name
    return PlanningError(
        f"`{name}` has no open weights: it can be priced, not served",
        where=Place(f"profiles/models/{name}.yaml", key="open_weights"),
        hint="compare prices: `deploykit prices` shows what it costs as a service",
    )


def no_gpu(request: PlanRequest) -> PlanningError:
    """Return the refusal of a real model on a machine without GPUs."""
    model, node = request.profile.name, request.node.name
    return DoesNotFitError(
        f"`{model}` needs GPUs and `{node}` has none",
        where=Place(f"profiles/nodes/{node}.yaml", key="gpu"),
        hint=f"rehearse it here with its stand-in (`deploykit up {model}`), or plan for a GPU node with `--node`",
    )


def check_gpu_facts(request: PlanRequest) -> None:
    """Raise PlanningError if a fact about the GPU that memory and legality depend on is unknown."""
    gpu, node = request.node.gpu, request.node.name
    if gpu is None:
        return
    missing = []
    if gpu.capability is None:
        missing.append(("capability", "which checkpoints and kernels run on it"))
    if gpu.reported_bytes is None and gpu.memory_gb is None:
        missing.append(("memory_gb", "what fits"))
    if missing:
        keys = " and ".join(f"`gpu.{key}`" for key, _ in missing)
        raise DoesNotFitError(
            f"{keys} of `{node}` is unknown (null): without it nobody can say {' and '.join(what for _, what in missing)}",
            where=Place(f"profiles/nodes/{node}.yaml", key=f"gpu.{missing[0][0]}"),
            hint="fill it in from a source, with its date, or plan for a node that is known",
        )


def check_stand_in(request: PlanRequest) -> tuple[CpuEngine, Checkpoint, Weights]:
    """Return what a rehearsal needs, or raise PlanningError naming what is missing or contradicts."""
    node, served = request.node, request.served
    place = Place(f"profiles/nodes/{node.name}.yaml", key="gpu")
    if node.gpu is not None:
        raise PlanningError(
            f"`{served.name}` is a stand-in for machines without GPUs, `{node.name}` has {node.gpu_count}",
            where=place,
            hint=f"plan `{request.profile.name}` itself for `{node.name}`",
        )
    if node.cpu_engine is None:
        raise PlanningError(
            f"`cpu_engine` of `{node.name}` is unknown (null), and a rehearsal's memory depends on it",
            where=Place(place.file, key="cpu_engine"),
            hint="give `kv_cache_gib` and `reserve_gib`",
        )
    if not served.checkpoints:
        raise PlanningError(
            f"stand-in `{served.name}` has no checkpoint", where=Place(request.model_file, key="checkpoints")
        )
    weights = weights_of(served.checkpoints[0], served)
    if weights is None:
        raise _size_unknown(request, served.checkpoints[:1])
    return node.cpu_engine, served.checkpoints[0], weights


def too_little_ram(request: PlanRequest, budget: MemoryBudget) -> PlanningError:
    """Return the refusal of a rehearsal on a machine that is too small."""
    return PlanningError(
        f"the rehearsal needs {budget.available_gib:.1f} GiB of memory, `{request.node.name}` has "
        f"{budget.capacity_gib:.1f} GiB",
        where=Place(f"profiles/nodes/{request.node.name}.yaml", key="host.ram_gb"),
        hint="a smaller `cpu_engine.kv_cache_gib` needs less",
        detail=budget.formula,
    )


def no_rehearsal(request: PlanRequest, why: str) -> PlanningError:
    """Return the refusal of a rehearsal whose settings do not go with one process and its small KV cache."""
    return PlanningError(
        f"`{request.profile.name}` cannot be rehearsed so: {why}",
        hint="a rehearsal is one process on each CPU with a small KV cache, and `tensor-parallel-size` is 1 or, for one engine "
        "over several hosts, their number: take that setting back",
    )


def not_as_many_hosts(request: PlanRequest, ranks: int) -> PlanningError:
    """Return the refusal of a rehearsed engine whose ranks are not as many as the hosts."""
    there = "1 host" if request.nodes == 1 else f"{request.nodes} hosts"
    return PlanningError(
        f"`{request.profile.name}` cannot be rehearsed so: `tensor-parallel-size` {ranks} is one engine over {ranks} hosts, "
        f"and there {'is' if request.nodes == 1 else 'are'} {there}",
        hint=f"give {ranks} hosts (an inventory with -i, or `hosts` in deploykit.yaml), or take the setting back",
    )


def does_not_fit(request: PlanRequest, candidates: Sequence[Candidate]) -> PlanningError:
    """Return the refusal with the shortfall of the layout that misses by least, and why the others are out."""
    model, node = request.profile.name, request.node.name
    machines = f"`{node}`" if request.nodes == 1 else f"{request.nodes} x `{node}`"
    near = [(c, c.best_shortfall) for c in candidates]
    short = min(((c, n) for c, n in near if n is not None), key=lambda pair: pair[1].short_gib, default=None)
    if not candidates:
        return _nothing_to_try(request)
    if short is None:
        reasons = "\n".join(f"{r.layout}: {r.because}" for c in candidates for r in c.rejected)
        as_asked = [r for c in candidates for r in c.rejected if not c.wishes.unmet_by(r.layout)]
        if as_asked:
            why = f": {as_asked[0].layout}, {as_asked[0].because}"
        else:
            wished = next((w for c in candidates for r in c.rejected if (w := c.wishes.unmet_by(r.layout))), None)
            why = f": {wished}, which no way to cut its GPUs has" if wished else ""
        return PlanningError(
            f"no layout of `{model}` is legal on {machines}{why}",
            where=Place(request.model_file, key="checkpoints"),
            hint="take back the settings that rule layouts out, or plan for another node",
            detail=reasons,
        )
    candidate, need = short
    where = Place(request.model_file, key=f"checkpoints.{candidate.checkpoint.name}")
    room = need.available_gib - need.reserve_gib - need.communication_gib
    if need.short_gib:
        numbers = (
            f"weights need {need.weights_gib:.1f} GiB per GPU, {room:.1f} GiB are available: "
            f"{need.short_gib:.1f} GiB short with {need.layout}, the best layout"
        )
    else:
        numbers = next(r.because for r in candidate.rejected if r.layout == need.layout)
    lines = [f"`{c.checkpoint.name}`: {_nearest_miss(c)}" for c in candidates]
    return DoesNotFitError(
        f"`{model}` does not fit on {machines}: {numbers}",
        where=where,
        hint="take a larger node, more nodes, or a smaller checkpoint.",
        detail="\n".join(lines),
    )


def _nearest_miss(candidate: Candidate) -> str:
    need = candidate.best_shortfall
    rejected = candidate.rejected
    if need is None:
        return f"no layout is legal; {rejected[-1].layout}: {rejected[-1].because}" if rejected else "no layout"
    return next(f"{r.layout}: {r.because}" for r in rejected if r.layout == need.layout)


def _nothing_to_try(request: PlanRequest) -> PlanningError:
    capability = request.capability or 0.0
    usable = [c for c in request.served.checkpoints if (c.min_capability or 0.0) <= capability]
    if usable:
        return _size_unknown(request, usable)
    needs = ", ".join(f"`{c.name}` needs {c.min_capability}" for c in request.served.checkpoints) or "it lists none"
    return DoesNotFitError(
        f"no checkpoint of `{request.profile.name}` runs on compute capability {capability} (`{request.node.name}`): {needs}",
        where=Place(request.model_file, key="checkpoints"),
        hint="plan for a node with newer GPUs",
    )


def _size_unknown(request: PlanRequest, checkpoints: Sequence[Checkpoint]) -> PlanningError:
    names = " and ".join(f"`{c.name}`" for c in checkpoints)
    return PlanningError(
        f"the size of checkpoint {names} is unknown, and so are `min_memory_gb` and `parameters.total_b`",
        where=Place(request.model_file, key="checkpoints"),
        hint="fill in `weights_gb` from the model hub",
    )
