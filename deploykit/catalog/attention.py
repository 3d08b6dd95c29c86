"""Attention layers as groups of one kind: what each keeps per token and per sequence.

A model is a list of groups: GPT-OSS is one group of full and one of sliding-window layers, Nemotron 3 one of
attention and one of Mamba layers. Sizes are bytes over all layers of the group on one GPU.
"""

import math
from typing import Annotated, Literal, assert_never

from pydantic import Field

from deploykit.base import Value


class GroupedQuery(Value):
    """Layers with separate keys and values (MHA, GQA, MQA); with `window` they keep only that many last tokens."""

    kind: Literal["grouped_query"] = "grouped_query"
    layers: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    key_dim: int = Field(gt=0, description="Size of one key head.")
    value_dim: int = Field(gt=0, description="Size of one value head; differs from `key_dim` in some models.")
    window: int | None = Field(None, gt=0, description="Sliding window in tokens; null is full attention.")


class Latent(Value):
    """Multi-head latent attention (MLA): one compressed vector per token and layer, shared by all heads."""

    kind: Literal["latent"] = "latent"
    layers: int = Field(gt=0)
    kv_lora_rank: int = Field(gt=0)
    rope_dim: int = Field(gt=0)


class RecordFormat(Value):
    """One storage format of a record, and the GPUs that have kernels for it."""

    name: str
    bytes: int = Field(gt=0)
    min_capability: float = Field(description="Lowest CUDA compute capability with kernels for it.")
    below_capability: float | None = Field(None, description="Only GPUs below this capability have kernels for it.")
    kv_cache_dtype: str | None = Field(
        None, description="Used only where vLLM's kv-cache-dtype is set to this; null is what `auto` and `fp8` give."
    )


class Stream(Value):
    """Records that some layers keep: one for every `tokens_per_record` tokens."""

    layers: int = Field(gt=0)
    tokens_per_record: int = Field(gt=0)
    formats: tuple[RecordFormat, ...] = Field(
        min_length=1, description="Largest first; the smallest the GPU has is used."
    )


class CompressedLatent(Value):
    """Compressed sparse attention (DeepSeek V4's CSA and HCA): streams of latent and indexer records, plus a window."""

    kind: Literal["compressed_latent"] = "compressed_latent"
    streams: tuple[Stream, ...] = Field(min_length=1)
    window_bytes_per_sequence: int = Field(
        ge=0, description="What the sliding-window layers keep per sequence, in bytes."
    )


class Mamba2(Value):
    """Mamba 2 layers: a state of fixed size per sequence, whatever its length."""

    kind: Literal["mamba2"] = "mamba2"
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    state_size: int = Field(gt=0)
    groups: int = Field(gt=0)
    conv_kernel: int = Field(gt=0)
    state_dtype: Literal["float32", "float16", "bfloat16"] = "float32"


AttentionGroup = Annotated[GroupedQuery | Latent | CompressedLatent | Mamba2, Field(discriminator="kind")]

KvDtype = Literal["bf16", "fp8"]
_BYTES: dict[str, int] = {"bf16": 2, "fp8": 1, "float32": 4, "float16": 2, "bfloat16": 2}


def _sharded(heads: int, tensor_parallel: int) -> int:
    """Heads one GPU holds: an even share, and never less than one (the rest are copies)."""
    return max(1, math.ceil(heads / tensor_parallel))


def record_format(stream: Stream, capability: float, *, kv_cache_dtype: str | None = None) -> RecordFormat:
    """Return the format a GPU of this compute capability uses: the one asked for by name, or the smallest it can."""
    usable = [
        f
        for f in stream.formats
        if f.min_capability <= capability and (f.below_capability is None or capability < f.below_capability)
    ]
    named = [f for f in usable if f.kv_cache_dtype is not None and f.kv_cache_dtype == kv_cache_dtype]
    unnamed = [f for f in usable if f.kv_cache_dtype is None]
    return min(named or unnamed or stream.formats[:1], key=lambda f: f.bytes)


def bytes_per_token(
    group: AttentionGroup,
    *,
    dtype: KvDtype,
    tensor_parallel: int,
    capability: float,
    kv_cache_dtype: str | None = None,
) -> float:
    """Return the bytes one more token of context costs on one GPU; 0 for windowed and Mamba layers.

    `kv_cache_dtype` is vLLM's setting of that name; it matters only for record formats that must be asked for.

    Latent and compressed records have one head, so tensor parallelism copies them (vLLM 0.32.0,
    `v1/kv_cache_interface.py`: `max_tp_shards=1`); KV heads are shared out until one is left per GPU.
    """
    match group:
        case GroupedQuery():
            if group.window is not None:
                return 0.0
            return (
                group.layers
                * _sharded(group.kv_heads, tensor_parallel)
                * (group.key_dim + group.value_dim)
                * _BYTES[dtype]
            )
        case Latent():
            return group.layers * (group.kv_lora_rank + group.rope_dim) * _BYTES[dtype]
        case CompressedLatent():
            return sum(
                s.layers * record_format(s, capability, kv_cache_dtype=kv_cache_dtype).bytes / s.tokens_per_record
                for s in group.streams
            )
        case Mamba2():
            return 0.0
        case _:
            assert_never(group)


def bytes_per_sequence(group: AttentionGroup, *, dtype: KvDtype, tensor_parallel: int) -> int:
    """Return the bytes a sequence costs on one GPU whatever its length: windows, Mamba state, convolution state."""
    match group:
        case GroupedQuery():
            if group.window is None:
                return 0
            heads = _sharded(group.kv_heads, tensor_parallel)
            return group.layers * heads * (group.key_dim + group.value_dim) * group.window * _BYTES[dtype]
        case Latent():
            return 0
        case CompressedLatent():
            return group.window_bytes_per_sequence
        case Mamba2():
            heads = _sharded(group.heads, tensor_parallel)
            state = heads * group.head_dim * group.state_size * _BYTES[group.state_dtype]
            channels = heads * group.head_dim + 2 * _sharded(group.groups, tensor_parallel) * group.state_size
            return group.layers * (state + (group.conv_kernel - 1) * channels * 2)
        case _:
            assert_never(group)
