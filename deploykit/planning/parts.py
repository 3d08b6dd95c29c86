"""A model's shape and a checkpoint's precisions -> its weights in named parts, each with how GPUs share it.

The formulas are those of vLLM 0.32.0's model classes (`models/deepseek_v4/attention.py`, `model_executor/models/`:
`deepseek_v2.py`, `nemotron_h.py`, `gpt_oss.py`, `mimo_v2.py`, `qwen3_moe.py`); a contract test counts the parameters on
vLLM's own modules. Norms, biases and sinks are left out: they are 0.01 % of a model.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from deploykit.catalog.attention import AttentionGroup, CompressedLatent, GroupedQuery, Latent, Mamba2
from deploykit.catalog.profile import Architecture, Checkpoint, Experts, Parameters, Profile
from deploykit.units import GB

BITS = {"bf16": 16.0, "fp8": 8.0, "mxfp8": 8.25, "fp4": 4.25, "mxfp4": 4.25, "nvfp4": 4.5, "int4": 4.5}
"""Bits per weight with its scales: MXFP4 and MXFP8 have 8 bits for 32 weights, NVFP4 8 for 16, INT4 commonly 16 for 32."""

Spread = Literal["experts", "tensor", "shared", "copied"]
Stored = Literal["experts", "dense", "bf16", "float32"]


@dataclass(frozen=True)
class Part:
    """Weights of one kind.

    `spread` is how GPUs share them: whole experts over all ranks of an expert-parallel engine; cut over tensor-parallel
    ranks, in `pieces` at most where that is given; shared experts, which are copied where tensor, data and expert
    parallelism meet (`use_sequence_parallel_moe`); or copied to every GPU.
    """

    name: str
    elements: float
    stored: Stored
    spread: Spread
    pieces: int | None = None
    per_layer: bool = True
    """Whether pipeline stages share them layer by layer; embedding and head stand at the two ends."""
    draft: bool = False
    """Loaded only where speculative decoding runs the draft module."""


def parts(architecture: Architecture, checkpoint: Checkpoint) -> tuple[Part, ...] | None:
    """Return all parts of the weights, or None where the facts do not say enough.

    A draft module whose number of layers is not known is left out.
    """
    experts, layers = architecture.experts, architecture.layers
    if layers is None or (experts.layers if experts else architecture.dense_mlp) is None:
        return None
    found = [part for group in architecture.attention for part in _attention(group, architecture)]
    if any(part is None for part in found):
        return None
    made = [part for part in found if part is not None]
    made += _experts(experts, experts.layers or 0, experts.routed, architecture.hidden_size) if experts else []
    made += _others(architecture, layers)
    return tuple(_summed([*made, *_drafts(architecture, checkpoint)]))


def counted(profile: Profile) -> Profile:
    """Return a profile that says no parameters with those of its parts, in billions; as it is where they are unknown.

    A token uses all but the routed experts, and of those `per_token`.
    """
    architecture, checkpoint = profile.architecture, next(iter(profile.checkpoints), None)
    if profile.parameters is not None or architecture is None or checkpoint is None:
        return profile
    made = parts(architecture, checkpoint)
    if made is None:
        return profile
    experts = architecture.experts
    idle = 1 - experts.per_token / experts.routed if experts else 0.0
    total = sum(part.elements for part in made) / GB
    active = total - idle * sum(part.elements for part in made if part.spread == "experts") / GB
    says = f"{total:,.1f} billion parameters, {active:,.1f} active: counted from the shape, norms left out"
    found = Parameters(total_b=total, active_b=active, source=profile.source, as_of=architecture.as_of)
    return profile.model_copy(update={"parameters": found, "assumptions": (*profile.assumptions, says)})


def _attention(group: AttentionGroup, architecture: Architecture) -> Iterator[Part | None]:
    hidden, heads = architecture.hidden_size, architecture.attention_heads
    match group:
        case GroupedQuery():
            keys = group.kv_heads * (group.key_dim + group.value_dim)
            queries = heads * (group.key_dim + group.value_dim)
            yield Part("attention", group.layers * hidden * queries, "dense", "tensor")
            name = "keys and values" if group.window is None else "keys and values of windows"
            yield Part(name, group.layers * hidden * keys, "dense", "tensor", group.kv_heads)
        case Latent(q_lora_rank=int(rank), nope_dim=int(nope), value_dim=int(value)):
            cut = rank * (nope + group.rope_dim) + group.kv_lora_rank * (nope + value) + value * hidden
            down = hidden * (rank + group.kv_lora_rank + group.rope_dim)
            yield Part("attention", group.layers * heads * cut, "dense", "tensor")
            yield Part("attention, down to the latent", group.layers * down, "dense", "copied")
        case Latent():
            yield None
        case CompressedLatent():
            yield from _compressed(group, hidden, heads)
        case Mamba2():
            inner, state = group.heads * group.head_dim, 2 * group.groups * group.state_size
            mixer = hidden * (3 * inner + group.heads) + (group.conv_kernel + 1) * inner
            yield Part("Mamba", group.layers * mixer, "dense", "tensor")
            extra = group.layers * (hidden + group.conv_kernel + 1) * state
            yield Part("Mamba groups", extra, "dense", "tensor", group.groups)
        case _:
            assert_never(group)


def _compressed(group: CompressedLatent, hidden: int, heads: int) -> Iterator[Part | None]:
    p = group.projections
    if p is None:
        yield None
        return
    width = heads * p.head_dim
    cut = p.q_lora_rank * width + width * p.o_lora_rank + p.o_groups * p.o_lora_rank * hidden
    yield Part("attention", p.layers * cut, "dense", "tensor")
    yield Part("attention, down to the latent", p.layers * hidden * (p.q_lora_rank + p.head_dim), "dense", "copied")
    yield Part("indexer", p.indexers * p.q_lora_rank * p.index_heads * p.index_dim, "dense", "copied")
    small = p.indexers * hidden * p.index_heads + sum(c.layers * c.width * hidden for c in p.compressors)
    yield Part("compressors", small, "bf16", "copied")


def _experts(experts: Experts, layers: int, routed: int, hidden: int) -> list[Part]:
    matrices, seen = 3 if experts.gated else 2, experts.latent_width or hidden
    shared = (experts.shared or 0) * matrices * hidden * (experts.shared_width or experts.width)
    made = [
        Part("experts", layers * routed * matrices * seen * experts.width, "experts", "experts"),
        Part("shared experts", layers * shared, "dense", "shared"),
        Part("routers", layers * routed * hidden, "bf16", "copied"),
    ]
    if experts.latent_width:
        made.append(Part("expert projections", layers * 2 * hidden * experts.latent_width, "dense", "copied"))
    return made


def _others(architecture: Architecture, layers: int) -> list[Part]:
    hidden, mlp, streams = architecture.hidden_size, architecture.dense_mlp, architecture.hyper_connections
    matrices = 1 if architecture.tied_embeddings else 2
    made = [Part("embeddings", matrices * architecture.vocab_size * hidden, "bf16", "tensor", per_layer=False)]
    if mlp:
        made.append(Part("dense MLP", mlp.layers * 3 * hidden * mlp.width, "dense", "tensor"))
    if streams:
        made.append(
            Part("hyper-connections", layers * 2 * streams * hidden * (2 + streams) * streams, "float32", "copied")
        )
    return made


def _drafts(architecture: Architecture, checkpoint: Checkpoint) -> Iterator[Part]:
    """Yield the draft module: so many decoder layers, and the two projections that join token and state."""
    experts, count, hidden = architecture.experts, checkpoint.draft_layers or 0, architecture.hidden_size
    if not checkpoint.drafts or not count:
        return
    made = [part for group in architecture.draft_attention for part in _attention(group, architecture) if part]
    if experts:
        made += _experts(experts, 1, checkpoint.draft_experts or experts.routed, hidden)
    yield from (replace(p, elements=p.elements * count, name=f"draft: {p.name}", draft=True) for p in made)
    yield Part("draft: projections", 2 * hidden * hidden, "dense", "copied", draft=True)


def _summed(made: list[Part]) -> Iterator[Part]:
    """Yield parts of one name and kind as one; layers of several kinds have the same names."""
    sums: dict[Part, float] = {}
    for part in made:
        key = replace(part, elements=0)
        sums[key] = sums.get(key, 0) + part.elements
    yield from (replace(key, elements=total) for key, total in sums.items() if total)
