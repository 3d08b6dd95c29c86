"""What each kind of layer keeps -> vLLM's pool of equal blocks: how the layers share it, and what a request takes of it.

The rules are vLLM 0.32.0's own, read in `v1/core/kv_cache_utils.py` and `v1/kv_cache_interface.py`:

* A *page* is what one layer keeps of `tokens` tokens; a *block* is one page of every layer of a *group*. All groups draw
  their blocks from one pool, so a block is as large as the largest group (`_get_kv_cache_bytes_per_block`).
* Layers of one kind are one group (`_get_kv_cache_groups_uniform_spec`, `..._uniform_type`).
* Of several kinds, pages are first made equal (`unify_kv_cache_spec_page_size`): small attention pages take more tokens
  where that divides, the rest are padded. Then groups get as many layers as the rarest kind has, or as the commonest
  where that is less than half more (`_get_kv_cache_groups_uniform_page_size`); the last group of a kind may be short.
* A model whose kernels want blocks outermost packs pages of unequal sizes side by side instead
  (`_get_packed_kv_cache_groups`).
* A request of n tokens takes ceil(n / tokens) blocks of a full-attention group; of a window's group enough for the
  window and for what is under way, and one more because the window need not begin at a page's start
  (`SlidingWindowSpec`); of a state's group one while it runs and a few at most (`MambaSpec`); of a ring's one (`CircularBufferSpec`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

NULL_BLOCKS = 1
"""Blocks that vLLM's pool holds back for itself (`get_kv_cache_configs`, `check_memory`)."""

_CLOSE = 1.5
"""A commonest kind with fewer than so many times the rarest kind's layers sets the size of the groups."""


@dataclass(frozen=True)
class Cache:
    """What `layers` layers of one kind keep on one GPU; vLLM calls it a KV cache spec."""

    layers: int
    kind: Literal["full", "window", "state"]
    page_bytes: int
    tokens: int = 1
    """Tokens in one page; a state has one page whatever the length."""
    window: int = 0
    held_pages: int = 1
    """Pages of a state that a running request holds."""
    most_pages: int = 1
    """Pages of a state that a request holds at most."""
    paddable: bool = True
    """Latent pages are read in whole rows, so they cannot be padded to another kind's size."""
    ring: bool = False
    """A state of another shape than Mamba's: never of one type with it."""

    def same_but_layers(self, other: "Cache") -> bool:
        """Whether both are the same spec."""
        return replace(self, layers=other.layers) == other


@dataclass(frozen=True)
class Group:
    """Layers with one block table; `block_bytes` is what its own layers fill of a block."""

    kind: Literal["full", "window", "state"]
    layers: int
    block_bytes: int
    tokens: int
    window: int
    held_pages: int
    most_pages: int

    def blocks_at_most(self, tokens: int, in_flight: int) -> int:
        """Return the most blocks a request of so many tokens takes while `in_flight` tokens are under way."""
        match self.kind:
            case "full":
                return math.ceil(tokens / self.tokens)
            case "window":
                return math.ceil(min(self.window - 1 + in_flight, tokens) / self.tokens) + 1
            case "state":
                return self.most_pages

    def held(self) -> float:
        """Return the blocks that a running request holds on average whatever its length.

        The last page of full attention is half empty on average; a window that begins anywhere in a page spans one
        more than it would fill.
        """
        match self.kind:
            case "full":
                return (self.tokens - 1) / 2 / self.tokens
            case "window":
                return (self.window - 1) / self.tokens + 1
            case "state":
                return float(self.held_pages)


@dataclass(frozen=True)
class Pool:
    """The KV cache of one GPU: groups that share blocks of one size."""

    block_bytes: int
    groups: tuple[Group, ...]

    @property
    def bytes_per_token(self) -> float:
        """Bytes one more token of context takes, once a window is full."""
        return sum(self.block_bytes / g.tokens for g in self.groups if g.kind == "full")

    @property
    def bytes_per_sequence(self) -> float:
        """Bytes a running request takes on average whatever its length."""
        return self.block_bytes * sum(g.held() for g in self.groups)

    def in_flight_bytes(self, tokens: int) -> float:
        """Return the bytes that windows take for tokens under way, whichever requests they belong to, until they slide on."""
        return self.block_bytes * sum(tokens / g.tokens for g in self.groups if g.kind == "window")

    def blocks(self, available_bytes: float) -> int:
        """Return how many blocks vLLM makes of so much memory."""
        return max(0, int(available_bytes // self.block_bytes)) if self.block_bytes else 0

    def request_blocks(self, tokens: int, in_flight: int) -> int:
        """Return the most blocks one request takes, as vLLM reckons when it starts."""
        return sum(g.blocks_at_most(tokens, in_flight) for g in self.groups)

    def concurrency(self, available_bytes: float, tokens: int, in_flight: int) -> float:
        """Return vLLM's "maximum concurrency" for requests of so many tokens (`get_max_concurrency_for_kv_cache_config`)."""
        each = self.request_blocks(tokens, in_flight)
        return self.blocks(available_bytes) / each if each else 0.0

    def longest(self, available_bytes: float, in_flight: int, *, most: int) -> int:
        """Return the longest request, up to `most` tokens, with which vLLM still starts; 0 where there is none."""
        usable = self.blocks(available_bytes) - NULL_BLOCKS
        if self.request_blocks(most, in_flight) <= usable:
            return most
        low, high = 0, most - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.request_blocks(middle, in_flight) <= usable:
                low = middle
            else:
                high = middle - 1
        return low


@lru_cache(maxsize=512)
def pool_of(caches: tuple[Cache, ...], *, block_outermost: bool = False) -> Pool:
    """Return the pool that vLLM makes for these layers; `block_outermost` where the kernels want pages side by side."""
    kinds = _merged(c for c in caches if c.layers)
    if not kinds:
        return Pool(block_bytes=0, groups=())
    if len(kinds) == 1 or _one_type(kinds):
        return _pool([_group(kinds)])
    if block_outermost and len({c.page_bytes for c in kinds}) > 1:
        return _pool(_packed(kinds))
    equal = _equal_pages(kinds)
    if equal is None:
        # MLA beside windows that do not divide its page: windows are then kept in full (`_promote_local_kv_cache_specs`).
        return _pool([_group([replace(c, kind="full") for c in kinds])])
    return _pool(_cut(equal))


def _merged(caches: Iterable[Cache]) -> list[Cache]:
    kinds: list[Cache] = []
    for cache in caches:
        for i, known in enumerate(kinds):
            if known.same_but_layers(cache):
                kinds[i] = replace(known, layers=known.layers + cache.layers)
                break
        else:
            kinds.append(cache)
    return kinds


def _one_type(kinds: Sequence[Cache]) -> bool:
    """Whether all need the same number of pages whatever the request (`UniformTypeKVCacheSpecs.is_uniform_type`)."""
    first = kinds[0]
    same = all(
        (c.kind, c.tokens, c.window, c.ring) == (first.kind, first.tokens, first.window, first.ring) for c in kinds
    )
    return same and (first.kind != "state" or first.ring or all(c.page_bytes == first.page_bytes for c in kinds))


def _group(kinds: Sequence[Cache]) -> Group:
    first = kinds[0]
    return Group(
        kind=first.kind,
        layers=sum(c.layers for c in kinds),
        block_bytes=sum(c.layers * c.page_bytes for c in kinds),
        tokens=first.tokens,
        window=first.window,
        held_pages=first.held_pages,
        most_pages=first.most_pages,
    )


def _pool(groups: Sequence[Group]) -> Pool:
    return Pool(block_bytes=max(g.block_bytes for g in groups), groups=tuple(groups))


def _equal_pages(kinds: Sequence[Cache]) -> list[Cache] | None:
    largest = max(c.page_bytes for c in kinds)
    equal: list[Cache] = []
    for cache in kinds:
        ratio, rest = divmod(largest, cache.page_bytes)
        if cache.kind == "state" or (rest and cache.paddable):
            equal.append(replace(cache, page_bytes=largest))
        elif rest:
            return None
        else:
            equal.append(replace(cache, page_bytes=largest, tokens=cache.tokens * ratio))
    return _merged(equal)


def _cut(kinds: Sequence[Cache]) -> list[Group]:
    fewest, most = min(c.layers for c in kinds), max(c.layers for c in kinds)
    size = most if most < fewest * _CLOSE else fewest
    return [part for cache in kinds for part in _parts([cache], math.ceil(cache.layers / size))]


def _parts(kinds: Sequence[Cache], count: int) -> list[Group]:
    """Return a kind's layers dealt out to so many groups, layer i to group i modulo count."""
    dealt = []
    for i in range(count):
        share = [replace(c, layers=len(range(i, c.layers, count))) for c in kinds if c.layers > i]
        dealt += [_group(share)] if share else []
    return dealt


def _packed(kinds: Sequence[Cache]) -> list[Group]:
    """Return groups of pages side by side (`_get_packed_kv_cache_groups`)."""
    buckets: list[list[Cache]] = []
    for cache in kinds:
        home = next((b for b in buckets if _one_type([*b, cache])), None)
        if home is None:
            buckets.append([cache])
        else:
            home.append(cache)
    by_page = [_layers_by_page(b) for b in buckets]
    balanced = [len(set(pages.values())) == 1 for pages in by_page]
    repeats = [max(pages.values()) for pages in by_page]
    floor = max((r for p, r, even in zip(by_page, repeats, balanced, strict=True) if even and len(p) > 1), default=0)
    chunk = _chunk([r for r, even in zip(repeats, balanced, strict=True) if even], floor) if floor else None
    counts = [math.ceil(r / chunk) if even and chunk else 1 for r, even in zip(repeats, balanced, strict=True)]

    def splits(bucket: list[Cache]) -> bool:
        return bucket[0].kind == "state" or (chunk is None and bucket[0].kind == "window")

    def widest(bucket: list[Cache], count: int) -> int:
        return sum(math.ceil(c.layers / count) * c.page_bytes for c in bucket)

    anchor = max(
        widest(b, sum(c.layers for c in b) if splits(b) else count) for b, count in zip(buckets, counts, strict=True)
    )
    groups: list[Group] = []
    for bucket, count in zip(buckets, counts, strict=True):
        least = count
        if splits(bucket):
            fit = max(anchor // bucket[0].page_bytes, 1)
            least = max(count, math.ceil(sum(c.layers for c in bucket) / fit))
        groups += _parts(bucket, least)
    return groups


def _layers_by_page(bucket: Sequence[Cache]) -> dict[int, int]:
    layers: dict[int, int] = {}
    for cache in bucket:
        layers[cache.page_bytes] = layers.get(cache.page_bytes, 0) + cache.layers
    return layers


def _chunk(counts: Sequence[int], floor: int) -> int:
    """Return the chunk, `floor` at least, to whose multiples the counts are rounded up with least waste; of equals the largest."""
    return min(range(max(floor, 1), max(counts) + 1), key=lambda d: (sum(-n % d for n in counts), -d))
