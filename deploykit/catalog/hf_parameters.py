"""The keys of a config.json -> how many parameters the model has, by part, in billions.

Counts matrices alone: norms, biases and the router's correction are below a thousandth of any model planned here.
"""

from dataclasses import dataclass

from deploykit.catalog.attention import AttentionGroup, CompressedLatent, GroupedQuery, Mamba2
from deploykit.catalog.profile import Experts


@dataclass(frozen=True)
class Shape:
    """What the count needs beside attention and experts."""

    hidden: int
    layers: int
    vocab: int
    heads: int
    tied: bool
    dense_width: int
    dense_layers: int
    """Layers with a plain MLP instead of experts."""
    gated: bool
    """Whether an MLP has three matrices (gate, up, down) or two."""
    q_lora_rank: int = 0
    kv_lora_rank: int = 0
    qk_head_dim: int = 0
    value_head_dim: int = 0
    rope_dim: int = 0
    expert_input: int = 0
    """Size of what an expert reads, where the layer projects to a smaller one first; 0 is the hidden size."""
    moe_layers: int = 0
    shared_width: int = 0
    """Intermediate size of all shared experts of a layer together."""


def count(shape: Shape, attention: tuple[AttentionGroup, ...], experts: Experts | None) -> tuple[float, float]:
    """Return all parameters and those one token uses, in billions."""
    embeddings = shape.vocab * shape.hidden * (1 if shape.tied else 2)
    kept = sum(_attention(shape, group) for group in attention)
    matrices = 3 if shape.gated else 2
    dense = shape.dense_layers * matrices * shape.hidden * shape.dense_width
    whole = embeddings + kept + dense
    if experts is None:
        return whole / 1e9, whole / 1e9
    size = shape.expert_input or shape.hidden
    one = matrices * size * experts.width
    shared = matrices * shape.hidden * shape.shared_width
    projections = 2 * shape.hidden * size if size != shape.hidden else 0
    router = shape.hidden * experts.routed
    layer = shared + projections + router
    return (
        (whole + shape.moe_layers * (layer + experts.routed * one)) / 1e9,
        (whole + shape.moe_layers * (layer + experts.per_token * one)) / 1e9,
    )


def _attention(shape: Shape, group: AttentionGroup) -> int:
    hidden = shape.hidden
    if isinstance(group, GroupedQuery):
        queries = hidden * shape.heads * group.key_dim
        keys = hidden * group.kv_heads * (group.key_dim + group.value_dim)
        return group.layers * (queries + keys + shape.heads * group.value_dim * hidden)
    if isinstance(group, Mamba2):
        inner = group.heads * group.head_dim
        channels = inner + 2 * group.groups * group.state_size
        return group.layers * (
            hidden * (inner + channels + group.heads) + channels * group.conv_kernel + inner * hidden
        )
    if isinstance(group, CompressedLatent):  # no config.json leads here: `hf_config.UNCOVERED`
        msg = "compressed attention is not counted from a config.json"
        raise TypeError(msg)
    queries = shape.heads * shape.qk_head_dim
    down = hidden * shape.q_lora_rank + shape.q_lora_rank * queries if shape.q_lora_rank else hidden * queries
    latent = hidden * (shape.kv_lora_rank + shape.rope_dim)
    up = shape.kv_lora_rank * shape.heads * (shape.qk_head_dim - shape.rope_dim + shape.value_head_dim)
    return group.layers * (down + latent + up + shape.heads * shape.value_head_dim * hidden)
