"""Attention layers as groups of one kind: what each keeps, as facts.

A model is a list of groups: GPT-OSS is one group of full and one of sliding-window layers, Nemotron 3 one of
attention and one of Mamba layers. How vLLM pages it is in `planning/pages.py`.
"""

from typing import Annotated, Literal

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
    q_lora_rank: int | None = Field(None, gt=0, description="Null is unknown.")
    nope_dim: int | None = Field(None, gt=0, description="Part of a query head without rotation; null is unknown.")
    value_dim: int | None = Field(None, gt=0, description="Size of one value head; null is unknown.")


class RecordFormat(Value):
    """One storage format of a record, and the GPUs that have kernels for it."""

    name: str
    bytes: int = Field(gt=0)
    page_alignment: int = Field(
        1, gt=0, description="vLLM rounds the bytes of a page of such records up to a multiple."
    )
    min_capability: float = Field(description="Lowest CUDA compute capability with kernels for it.")
    below_capability: float | None = Field(None, description="Only GPUs below this capability have kernels for it.")
    kv_cache_dtype: str | None = Field(
        None, description="Used only where vLLM's kv-cache-dtype is set to this; null is what `auto` and `fp8` give."
    )


Formats = Annotated[
    tuple[RecordFormat, ...],
    Field(min_length=1, description="Largest first; the smallest the GPU has is used."),
]


class Stream(Value):
    """Records that some layers keep: one for every `tokens_per_record` tokens."""

    layers: int = Field(gt=0)
    tokens_per_record: int = Field(gt=0)
    formats: Formats


class Window(Value):
    """Records that some layers keep of the last `window` tokens, one for each."""

    layers: int = Field(gt=0)
    window: int = Field(gt=0)
    page_tokens: int = Field(gt=0, description="Tokens in a page; vLLM's code fixes it.")
    formats: Formats


class Ring(Value):
    """A buffer of fixed size that some layers keep for every sequence."""

    layers: int = Field(gt=0)
    rows: int = Field(gt=0)
    row_bytes: int = Field(gt=0)


class Compressor(Value):
    """Projections of so many layers that make records: from the hidden size to `width`."""

    layers: int = Field(gt=0)
    width: int = Field(gt=0)


class CompressedProjections(Value):
    """Weight matrices of compressed sparse attention, in config.json's words."""

    layers: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    q_lora_rank: int = Field(gt=0)
    o_lora_rank: int = Field(gt=0)
    o_groups: int = Field(gt=0)
    indexers: int = Field(0, ge=0, description="Layers with an indexer.")
    index_heads: int = Field(0, ge=0)
    index_dim: int = Field(0, ge=0)
    compressors: tuple[Compressor, ...] = ()


class CompressedLatent(Value):
    """Compressed sparse attention (DeepSeek V4): streams of latent and indexer records, windows, compressors' states."""

    kind: Literal["compressed_latent"] = "compressed_latent"
    page_tokens: int = Field(256, gt=0, description="Tokens in a page of the streams; the kernels take no other.")
    streams: tuple[Stream, ...] = ()
    windows: tuple[Window, ...] = ()
    rings: tuple[Ring, ...] = ()
    projections: CompressedProjections | None = Field(None, description="Its weights; null is unknown.")


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


def record_format(
    formats: tuple[RecordFormat, ...], capability: float, *, kv_cache_dtype: str | None = None
) -> RecordFormat:
    """Return the format a GPU of this compute capability uses: the one asked for by name, or the smallest it can."""
    usable = [
        f
        for f in formats
        if f.min_capability <= capability and (f.below_capability is None or capability < f.below_capability)
    ]
    named = [f for f in usable if f.kv_cache_dtype is not None and f.kv_cache_dtype == kv_cache_dtype]
    unnamed = [f for f in usable if f.kv_cache_dtype is None]
    return min(named or unnamed or formats[:1], key=lambda f: f.bytes)
