"""Request -> for each checkpoint the layouts that fit, and those that do not with their reason."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from deploykit.catalog.attention import Mamba2
from deploykit.catalog.catalog import nearest
from deploykit.catalog.profile import Architecture, Checkpoint
from deploykit.errors import Place, PlanningError
from deploykit.planning.choosing import Fitting, request_bytes, step_seconds
from deploykit.planning.limits import STEP_TOKENS, Traffic, context_wanted, limits_of, traffic_of
from deploykit.planning.memory import UTILIZATION, Ground, Need, capacity_of, gpu_need
from deploykit.planning.operating_point import at_load, demand_of, meets
from deploykit.planning.parallelism import illegal, layouts, machines_of
from deploykit.planning.plan import Choice, Parallelism, RejectedLayout, SchedulerLimits
from deploykit.planning.predicted import NotCalibrated
from deploykit.planning.prediction import subject_of
from deploykit.planning.request import PlanRequest
from deploykit.planning.roofline import Subject
from deploykit.planning.settings import Footing, later_choices
from deploykit.planning.speculation import OFF, drafted_tokens, speculation_for
from deploykit.planning.weights import BITS, weights_of
from deploykit.planning.wishes import Wishes, read_wishes
from deploykit.units import GB


@dataclass(frozen=True)
class Candidate:
    """A checkpoint on the request's machines."""

    checkpoint: Checkpoint
    ground: Ground
    wishes: Wishes
    fitting: tuple[Fitting, ...] = ()
    rejected: tuple[RejectedLayout, ...] = ()
    too_big: tuple[Need, ...] = field(default=())

    @property
    def best_shortfall(self) -> Need | None:
        """The layout that misses by least."""
        return min(self.too_big, key=lambda n: (n.short_gib, n.layout.gpus_per_engine, n.layout.expert), default=None)


def architecture_of(request: PlanRequest) -> Architecture:
    """Return the served model's architecture, or raise PlanningError if it is not known."""
    served = request.served
    if served.architecture is None:
        raise PlanningError(
            f"the architecture of `{served.name}` is unknown, so its memory cannot be worked out",
            where=Place(request.model_file, key="architecture"),
            hint="fill in `architecture` from the checkpoint's config.json",
        )
    return served.architecture


def checkpoints_to_try(request: PlanRequest) -> tuple[Checkpoint, ...]:
    """Return the checkpoints worth trying, best first; with the operator's choice that one alone.

    Native kernels on this GPU come first, then fewer bits per weight, then the profile's order.
    """
    served, capability = request.served, request.capability or 0.0
    if request.checkpoint is not None and request.stand_in is None:
        return (_named(request, request.checkpoint),)
    order = {c.name: i for i, c in enumerate(served.checkpoints)}
    usable = [c for c in served.checkpoints if runs_on(c, capability)]
    if request.speculation != OFF:
        usable = [c for c in usable if speculation_for(request, c)]
    return tuple(sorted(usable, key=lambda c: (not is_native(c, capability), BITS[c.precision], order[c.name])))


def runs_on(checkpoint: Checkpoint, capability: float) -> bool:
    """Whether a GPU of this compute capability can run a checkpoint at all."""
    return checkpoint.min_capability is None or checkpoint.min_capability <= capability


def is_native(checkpoint: Checkpoint, capability: float) -> bool:
    """Whether vLLM has native kernels for a checkpoint on a GPU of this compute capability."""
    return checkpoint.native_capability is None or checkpoint.native_capability <= capability


def max_context(architecture: Architecture, checkpoint: Checkpoint) -> int:
    """Return the tokens of context that a checkpoint's config allows."""
    return min(architecture.max_context, checkpoint.max_context or architecture.max_context)


def check_context(request: PlanRequest, wishes: Wishes) -> None:
    """Raise PlanningError if a context is asked for that no checkpoint was made for."""
    architecture = architecture_of(request)
    allowed = [max_context(architecture, c) for c in checkpoints_to_try(request)] or [architecture.max_context]
    why = _beyond_context(request, wishes, max(allowed))
    if why:
        raise PlanningError(
            why,
            where=Place(dict(wishes.origins)["max-model-len"], key="max-model-len"),
            hint=f"set `max-model-len` to {max(allowed)} or less",
        )


def gpu_candidates(request: PlanRequest) -> Iterator[Candidate]:
    """Yield a candidate for each checkpoint whose size can be known, best first."""
    architecture = architecture_of(request)
    traffic = traffic_of(request.workload)
    for checkpoint in checkpoints_to_try(request):
        wishes = _with_drafts(request, checkpoint, later_choices(request, Footing(checkpoint=checkpoint.name)))
        ground = _ground(request, checkpoint, wishes, architecture)
        if ground is not None:
            yield _fit(request, checkpoint, ground, wishes, traffic)


def _with_drafts(request: PlanRequest, checkpoint: Checkpoint, choices: tuple[Choice, ...]) -> Wishes:
    """Return the wishes, with the tokens drafted per step: the operator's own config first, then the switch's."""
    wishes = read_wishes(choices)
    own = next((c.value for c in reversed(choices) if c.setting == "speculative-config"), None)
    chosen = speculation_for(request, checkpoint)
    config = own if own is not None else chosen.config if chosen else None
    return replace(wishes, draft_tokens=drafted_tokens(config))


def _named(request: PlanRequest, name: str) -> Checkpoint:
    served, capability = request.served, request.capability or 0.0
    names = [c.name for c in served.checkpoints]
    place = Place(request.model_file, key="checkpoints")
    for checkpoint in served.checkpoints:
        if checkpoint.name == name:
            if not runs_on(checkpoint, capability):
                raise PlanningError(
                    f"checkpoint `{name}` needs compute capability {checkpoint.min_capability}, "
                    f"`{request.node.name}` has {capability}",
                    where=place,
                    hint="leave the checkpoint to the planner, or choose a newer GPU",
                )
            return checkpoint
    close = nearest(name, names)
    meant = f"did you mean `{close[0]}`? " if close else ""
    raise PlanningError(
        f"`{served.name}` has no checkpoint `{name}`", where=place, hint=f"{meant}it has {', '.join(names) or 'none'}"
    )


def _ground(request: PlanRequest, checkpoint: Checkpoint, wishes: Wishes, architecture: Architecture) -> Ground | None:
    weights = weights_of(checkpoint, request.served, drafting=wishes.draft_tokens > 0)
    capacity = capacity_of(request.node.gpu) if request.node.gpu else None
    if weights is None or capacity is None or request.capability is None:
        return None
    return Ground(
        architecture=_with_state(architecture, wishes.mamba_state),
        weights=weights,
        capability=request.capability,
        capacity_bytes=capacity[0],
        utilization=wishes.utilization or UTILIZATION,
        kv_dtype=wishes.kv_storage,
        kv_cache_bytes=wishes.kv_cache_bytes,
        kv_cache_dtype=wishes.kv_dtype,
        paging=request.engine.cuda.paging,
        page_tokens=wishes.page_tokens,
        prefix_caching=wishes.prefix_caching is not False,
        draft_tokens=wishes.draft_tokens,
        draft_layers=checkpoint.draft_layers or 1,
    )


def _fit(request: PlanRequest, checkpoint: Checkpoint, ground: Ground, wishes: Wishes, traffic: Traffic) -> Candidate:
    architecture, machines = ground.architecture, machines_of(request.node, request.nodes)
    bandwidth = request.node.gpu.bandwidth_tb_s if request.node.gpu else None
    fitting: list[Fitting] = []
    rejected: list[RejectedLayout] = []
    too_big: list[Need] = []
    longest = max_context(architecture, checkpoint)
    too_long = _beyond_context(request, wishes, longest)
    for layout in layouts(architecture, machines):
        why = too_long or illegal(layout, architecture, checkpoint, machines) or wishes.unmet_by(layout)
        why = why or _host_memory(request, ground, layout)
        if why is None:
            need = gpu_need(ground, layout)
            why = misfit(need, traffic, wishes, longest)
            if why is None:
                limits = limits_of(need, traffic, wishes, runtime="cuda", max_context=longest)
                step = step_seconds(need, traffic, bandwidth_tb_s=bandwidth)
                fitting.append(_fitting(request, checkpoint, ground, wishes, need, limits, step))
                continue
            too_big.append(need)
        rejected.append(RejectedLayout(layout=layout, because=why))
    return Candidate(checkpoint, ground, wishes, tuple(fitting), tuple(rejected), tuple(too_big))


def _fitting(
    request: PlanRequest,
    checkpoint: Checkpoint,
    ground: Ground,
    wishes: Wishes,
    need: Need,
    limits: SchedulerLimits,
    step_s: float | None,
) -> Fitting:
    """Return a layout that fits, with what is predicted for it at the workload's peak."""
    traffic = traffic_of(request.workload)
    bare = Fitting(need, limits, step_s, request_bytes(need, traffic))
    subject = predicted_subject(request, checkpoint, ground, wishes, need)
    demand = demand_of(request.workload, peak=traffic.peak, caching=wishes.prefix_caching is not False)
    if request.calibration is None or subject is None or demand.peak is None:
        return bare
    found = at_load(subject, request.calibration, demand, demand.peak)
    if isinstance(found, NotCalibrated):
        return bare
    return replace(bare, at_peak=found, in_time=meets(found, request.workload.slo, demand.output))


def predicted_subject(
    request: PlanRequest, checkpoint: Checkpoint, ground: Ground, wishes: Wishes, need: Need
) -> Subject | None:
    """Return what a prediction for a layout is about; None where the model's active parameters are unknown."""
    gpu = request.node.gpu
    found = None if gpu is None else subject_of(request.served, checkpoint, gpu, ground, need)
    return None if found is None else replace(found, speculative=wishes.draft_tokens > 0)


def _beyond_context(request: PlanRequest, wishes: Wishes, longest: int) -> str | None:
    wanted, serving = wishes.max_model_len, request.served.serving
    # vLLM checks the context against config.json itself, unless this variable says that the operator knows better.
    if serving is not None and serving.environment.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1":
        return None
    if wanted is None or wanted <= longest:
        return None
    return f"`max-model-len` is {wanted:,}, the config of `{request.served.name}` allows {longest:,} tokens"


def _with_state(architecture: Architecture, dtype: str | None) -> Architecture:
    """Return the architecture with Mamba states kept in the format that a setting names."""
    if dtype not in {"float32", "float16", "bfloat16"}:
        return architecture
    groups = tuple(
        g.model_copy(update={"state_dtype": dtype}) if isinstance(g, Mamba2) else g for g in architecture.attention
    )
    return architecture.model_copy(update={"attention": groups})


def misfit(need: Need, traffic: Traffic, wishes: Wishes, longest: int) -> str | None:
    """Return why a legal layout does not fit, with the numbers, or None if it does."""
    if need.kv_gib <= 0:
        fixed = need.reserve_gib + need.communication_gib
        return (
            f"weights need {need.weights_gib:.1f} GiB per GPU, {need.available_gib - fixed:.1f} GiB are available: "
            f"{need.short_gib:.1f} GiB short"
        )
    wanted = wishes.max_model_len
    if wanted is None:
        # The planner's own context shrinks to what fits, but not below one request of the usual length.
        wanted = min(int(traffic.mean), context_wanted(traffic, longest, wishes))
    step = wishes.max_num_batched_tokens or STEP_TOKENS["cuda"]
    bytes_wanted = need.start_bytes(wanted, step)
    if bytes_wanted > need.rank_kv_bytes:
        whose = "`max-model-len`" if wishes.max_model_len is not None else "one mean request"
        longest = need.longest_context(step, most=wanted)
        return (
            f"{whose} of {wanted:,} tokens needs {bytes_wanted / 2**30:.2f} GiB of KV cache per GPU, "
            f"{need.kv_gib:.2f} GiB are left ({longest:,} tokens)"
        )
    return None


def _host_memory(request: PlanRequest, ground: Ground, layout: Parallelism) -> str | None:
    ram, host_gb = request.node.host.ram_gb, ground.weights.host_gb
    engines = max(1, request.node.gpu_count // layout.gpus_per_engine)
    if ram is None or not host_gb or engines * host_gb <= ram:
        return None
    return f"{engines} engines on a node keep {engines * host_gb:.0f} GB of weights in host memory, it has {ram:.0f} GB"


def total_gpu_gb(request: PlanRequest, layout: Parallelism) -> float:
    """Return the marketed GB of all GPUs of one engine."""
    gpu = request.node.gpu
    if gpu is None:
        return 0.0
    each = gpu.memory_gb if gpu.memory_gb is not None else (gpu.reported_bytes or 0) / GB
    return each * layout.gpus_per_engine
