"""What the planner decided -> engine settings, in the order of the rendered file, each with its reason."""

from dataclasses import dataclass

from pydantic import JsonValue

from deploykit.catalog.profile import Checkpoint, Speculation
from deploykit.planning.candidates import is_native
from deploykit.planning.offload import Offload
from deploykit.planning.plan import Choice, Parallelism, SchedulerLimits
from deploykit.planning.request import PlanRequest
from deploykit.planning.speculation import config_of, draft_of

MODEL_LINK = "./model"
"""The link inside a release's folder that points at the weights."""


@dataclass(frozen=True)
class Decided:
    """The planner's decisions, before anybody else's."""

    layout: Parallelism
    layout_because: str
    limits: SchedulerLimits
    utilization: float | None
    checkpoint_because: str
    kv_cache_bytes: int | None
    speculation: Speculation | None = None
    offload: Offload | None = None


def planned_settings(request: PlanRequest, decided: Decided) -> tuple[Choice, ...]:
    """Return the planner's own choices."""
    wanted = [
        ("model", MODEL_LINK, f"the release's link to the weights; {decided.checkpoint_because}"),
        ("served-model-name", request.profile.name, "what clients call the model"),
        ("host", request.host, "only the gateway and this machine speak to the engine"),
        ("port", request.port, "the engine's own port; replicas on one node take the next ones"),
        *_layout(decided.layout, decided.layout_because),
        *_limits(request, decided),
        *_memory(decided),
        ("enable-prefix-caching", True, "requests that begin alike share their KV cache"),
        ("enable-prompt-tokens-details", True, "usage then says how many prompt tokens came from the cache"),
    ]
    wanted += [*_speculation(decided), *_offload(decided)]
    return tuple(Choice(setting=n, value=v, because=b, source="planner") for n, v, b in wanted)


def checkpoint_reason(request: PlanRequest, checkpoint: Checkpoint) -> str:
    """Return why this checkpoint is served."""
    if request.checkpoint is not None:
        return f"checkpoint `{checkpoint.name}`, as you ask"
    capability = request.capability or 0.0
    kernels = "native kernels" if is_native(checkpoint, capability) else "weight-only kernels"
    only = "the only checkpoint" if len(request.served.checkpoints) == 1 else "the best checkpoint that fits"
    return (
        f"checkpoint `{checkpoint.name}` ({checkpoint.precision}): {only}, {kernels} on compute capability {capability}"
    )


def _layout(layout: Parallelism, because: str) -> list[tuple[str, JsonValue, str]]:
    wanted: list[tuple[str, JsonValue, str]] = [("tensor-parallel-size", layout.tensor, because)]
    if layout.pipeline > 1:
        wanted.append(
            ("pipeline-parallel-size", layout.pipeline, "one stage on each node: little traffic between them")
        )
    if layout.data > 1:
        wanted.append(("data-parallel-size", layout.data, "every rank holds a KV cache of its own"))
    if layout.expert:
        ranks = layout.tensor * layout.data
        wanted.append(("enable-expert-parallel", True, f"experts are spread whole over {ranks} GPUs"))
    if layout.expert and layout.data > 1 and layout.nodes_per_engine > 1:
        because = (
            "needs no library beyond vLLM itself; where DeepEP is installed, its backends are quicker between nodes"
        )
        wanted.append(("all2all-backend", "allgather_reducescatter", because))
    if layout.nodes_per_engine > 1:
        wanted.append(("nnodes", layout.nodes_per_engine, "one engine does not fit on fewer nodes"))
    return wanted


def _limits(request: PlanRequest, decided: Decided) -> list[tuple[str, JsonValue, str]]:
    limits, name = decided.limits, request.workload.name
    per = " per data-parallel rank" if decided.layout.data > 1 else ""
    context = (
        f"the longest request of workload `{name}` with a margin for the chat template, within what the model and the "
        "KV cache allow"
    )
    sequences = (
        f"the KV cache holds {limits.concurrent_at_workload:,} mean requests of workload `{name}`; so many run at "
        f"once{per}"
    )
    step = "a whole prompt must fit one step: latent attention on CPU has no chunked prefill"
    if request.node.gpu is not None:
        step = "large steps finish prompts sooner, small ones disturb running answers less"
    return [
        ("max-model-len", limits.max_model_len, context),
        ("max-num-seqs", limits.max_num_seqs, sequences),
        ("max-num-batched-tokens", limits.max_num_batched_tokens, step),
    ]


def _memory(decided: Decided) -> list[tuple[str, JsonValue, str]]:
    wanted: list[tuple[str, JsonValue, str]] = []
    if decided.utilization is not None:
        because = "the engine's share of each GPU; the rest is for the driver and for what no plan foresees"
        wanted.append(("gpu-memory-utilization", decided.utilization, because))
        wanted.append(("kv-cache-dtype", "auto", "keys and values as the checkpoint has them"))
    if decided.kv_cache_bytes is not None:
        wanted += [
            (
                "kv-cache-memory-bytes",
                decided.kv_cache_bytes,
                "the node's profile gives the KV cache so much host memory",
            ),
            ("enforce-eager", True, "compiling for a tiny model takes longer than running it"),
            ("distributed-executor-backend", "mp", "what ranks on several hosts work with")
            if decided.layout.nodes_per_engine > 1
            # The fastest start that was measured: 24 to 34 s, against 42 to 66 s with the default executor.
            else ("distributed-executor-backend", "uni", "one process: the fastest start, and nothing to keep in step"),
        ]
    return wanted


def _speculation(decided: Decided) -> list[tuple[str, JsonValue, str]]:
    chosen = decided.speculation
    if chosen is None:
        return []
    draft = draft_of(chosen)
    where = f"{draft.repo} is the draft" if draft else "the checkpoint carries the draft"
    because = f"you ask for it; {where} for {chosen.method}, and a step has room to verify all that is drafted"
    return [("speculative-config", config_of(chosen), because)]


def _offload(decided: Decided) -> list[tuple[str, JsonValue, str]]:
    chosen = decided.offload
    return [] if chosen is None or chosen.gib is None else [(chosen.setting, chosen.gib, chosen.because)]
