"""Attention groups on a GPU -> the KV cache of each kind of layer, in pages, as vLLM's specs have it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import assert_never

from deploykit.catalog.attention import (
    AttentionGroup,
    CompressedLatent,
    GroupedQuery,
    KvDtype,
    Latent,
    Mamba2,
    RecordFormat,
    record_format,
)
from deploykit.catalog.engine import Paging
from deploykit.planning.pages import Cache

_BYTES: dict[str, int] = {"bf16": 2, "fp8": 1, "float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Storage:
    """What decides how large a page is, beside the model."""

    dtype: KvDtype = "bf16"
    capability: float = 0.0
    kv_cache_dtype: str | None = None
    """vLLM's setting, for record formats that must be asked for by name."""
    paging: Paging = field(default_factory=Paging)
    page_tokens: int | None = None
    """vLLM's `block-size`, where it is set."""
    prefix_caching: bool = True
    draft_tokens: int = 0
    """Tokens that speculative decoding proposes each step."""


def caches_of(
    groups: tuple[AttentionGroup, ...], storage: Storage, *, tensor: int, stage: float = 1.0
) -> tuple[Cache, ...]:
    """Return what all layers of one pipeline stage keep on one GPU; `stage` is the stage's share of the layers.

    KV heads and Mamba heads are shared out over tensor-parallel ranks until one is left on each; a latent has one head,
    so every rank keeps a copy (vLLM 0.32.0, `v1/kv_cache_interface.py`: `max_tp_shards=1`).
    """
    plain = [cache for group in groups for cache in _caches(group, storage, tensor)]
    aligned = _with_states(plain)
    return tuple(_part(cache, stage) for cache in aligned)


def is_packed(groups: tuple[AttentionGroup, ...]) -> bool:
    """Whether the model's kernels want blocks outermost, as the indexer of compressed latents does."""
    return any(isinstance(g, CompressedLatent) for g in groups)


def _caches(group: AttentionGroup, storage: Storage, tensor: int) -> Iterator[Cache]:
    tokens = storage.page_tokens or storage.paging.page_tokens
    match group:
        case GroupedQuery():
            row = _share(group.kv_heads, tensor) * (group.key_dim + group.value_dim) * _BYTES[storage.dtype]
            full = Cache(group.layers, "full", row * tokens, tokens=tokens)
            yield full if group.window is None else replace(full, kind="window", window=group.window)
        case Latent():
            tokens = storage.page_tokens or storage.paging.latent_page_tokens
            row = (group.kv_lora_rank + group.rope_dim) * _BYTES[storage.dtype]
            yield Cache(group.layers, "full", row * tokens, tokens=tokens, paddable=False)
        case CompressedLatent():
            yield from _compressed(group, storage)
        case Mamba2():
            drafts = storage.draft_tokens
            # With prefix caching: the state, the one before it, and a checkpoint inside a prompt (`MambaSpec`).
            most = 3 if storage.prefix_caching else 1
            page = _state_bytes(group, tensor, drafts)
            yield Cache(group.layers, "state", page, held_pages=1 + drafts, most_pages=most + drafts)
        case _:
            assert_never(group)


def _compressed(group: CompressedLatent, storage: Storage) -> Iterator[Cache]:
    def chosen(formats: tuple[RecordFormat, ...]) -> RecordFormat:
        return record_format(formats, storage.capability, kv_cache_dtype=storage.kv_cache_dtype)

    for stream in group.streams:
        page = _page(chosen(stream.formats), group.page_tokens // stream.tokens_per_record)
        yield Cache(stream.layers, "full", page, tokens=group.page_tokens, paddable=False)
    for kept in group.windows:
        page = _page(chosen(kept.formats), kept.page_tokens)
        yield Cache(kept.layers, "window", page, tokens=kept.page_tokens, window=kept.window, paddable=False)
    for ring in group.rings:
        yield Cache(ring.layers, "state", ring.rows * ring.row_bytes, tokens=ring.rows, ring=True)


def _page(record: RecordFormat, records: int) -> int:
    return math.ceil(records * record.bytes / record.page_alignment) * record.page_alignment


def _share(heads: int, tensor: int) -> int:
    return max(1, math.ceil(heads / tensor))


def _state_bytes(group: Mamba2, tensor: int, draft_tokens: int) -> int:
    """Bytes of one layer's state and convolution (`MambaStateShapeCalculator.mamba2_state_shape`)."""
    heads = _share(group.heads, tensor)
    state = heads * group.head_dim * group.state_size * _BYTES[group.state_dtype]
    channels = heads * group.head_dim + 2 * _share(group.groups, tensor) * group.state_size
    return state + (group.conv_kernel - 1 + draft_tokens) * channels * 2


def _with_states(caches: list[Cache]) -> list[Cache]:
    """Return the caches with attention pages that are no smaller than a state (`Platform._align_hybrid_block_size`).

    Attention then takes as many tokens a page, in steps of the page's usual size, and states are padded to it.
    """
    states = [c.page_bytes for c in caches if c.kind == "state" and not c.ring]
    attention = [c for c in caches if c.kind == "full"]
    if not states or not attention:
        return caches
    times = math.ceil(max(states) / attention[0].page_bytes)
    page = attention[0].page_bytes * times
    return [_beside_states(cache, times, page) for cache in caches]


def _beside_states(cache: Cache, times: int, page: int) -> Cache:
    if cache.kind == "full":
        return replace(cache, page_bytes=cache.page_bytes * times, tokens=cache.tokens * times)
    return replace(cache, page_bytes=page) if cache.kind == "state" and not cache.ring else cache


def _part(cache: Cache, stage: float) -> Cache:
    return cache if stage == 1.0 else replace(cache, layers=math.ceil(cache.layers * stage - 1e-9))
