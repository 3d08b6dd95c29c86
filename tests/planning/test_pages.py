"""Shared pages: each of vLLM's rules on a case small enough to check by hand, and laws that hold for every model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.planning.pages import NULL_BLOCKS, Cache, pool_of

FULL = Cache(layers=4, kind="full", page_bytes=1000, tokens=16)
WINDOW = Cache(layers=8, kind="window", page_bytes=1000, tokens=16, window=128)
STATE = Cache(layers=6, kind="state", page_bytes=1000, held_pages=1, most_pages=3)


def shape(*caches: Cache, block_outermost: bool = False) -> list[tuple[str, int, int]]:
    return [(g.kind, g.layers, g.tokens) for g in pool_of(caches, block_outermost=block_outermost).groups]


def test_layers_of_one_kind_are_one_group() -> None:
    pool = pool_of((FULL,))
    assert pool.block_bytes == 4000
    assert pool.request_blocks(100, 0) == 7  # 100 / 16, rounded up
    assert pool.bytes_per_token == 250


def test_equal_specs_are_one_kind() -> None:
    assert shape(FULL, FULL) == [("full", 8, 16)]


def test_pages_of_one_type_lie_side_by_side() -> None:
    small = Cache(layers=2, kind="full", page_bytes=10, tokens=16)
    assert pool_of((FULL, small)).block_bytes == 4020


def test_groups_have_as_many_layers_as_the_rarest_kind() -> None:
    # 4 full and 8 windows: three groups of four layers, each a block of 4,000 bytes.
    assert shape(FULL, WINDOW) == [("full", 4, 16), ("window", 4, 16), ("window", 4, 16)]
    # A request of 1,000 tokens: 63 blocks of full attention, and 2 x (ceil((127 + 200) / 16) + 1) of windows.
    assert pool_of((FULL, WINDOW)).request_blocks(1000, 200) == 63 + 2 * 22


def test_groups_have_as_many_layers_as_a_kind_that_is_only_a_little_commoner() -> None:
    five = Cache(layers=5, kind="window", page_bytes=1000, tokens=16, window=128)
    assert shape(FULL, five) == [("full", 4, 16), ("window", 5, 16)]
    assert pool_of((FULL, five)).block_bytes == 5000


def test_a_last_group_may_be_short() -> None:
    nine = Cache(layers=9, kind="window", page_bytes=1000, tokens=16, window=128)
    assert shape(FULL, nine) == [("full", 4, 16), ("window", 3, 16), ("window", 3, 16), ("window", 3, 16)]
    assert pool_of((FULL, nine)).block_bytes == 4000


def test_small_pages_take_more_tokens_where_that_divides_and_are_padded_where_not() -> None:
    half = Cache(layers=4, kind="window", page_bytes=500, tokens=16, window=128)
    assert shape(FULL, half) == [("full", 4, 16), ("window", 4, 32)]
    odd = Cache(layers=4, kind="window", page_bytes=600, tokens=16, window=128)
    assert shape(FULL, odd) == [("full", 4, 16), ("window", 4, 16)]
    assert pool_of((FULL, odd)).block_bytes == 4000


def test_windows_beside_latents_that_they_do_not_divide_are_kept_in_full() -> None:
    latent = Cache(layers=4, kind="full", page_bytes=700, tokens=16, paddable=False)
    assert shape(latent, WINDOW) == [("full", 12, 16)]
    assert pool_of((latent, WINDOW)).block_bytes == 4 * 700 + 8 * 1000


def test_a_state_takes_a_few_blocks_whatever_the_length() -> None:
    pool = pool_of((FULL, STATE))
    # 4 and 6 layers are more than half apart: two groups of three states.
    assert [(g.kind, g.layers) for g in pool.groups] == [("full", 4), ("state", 3), ("state", 3)]
    assert pool.request_blocks(1, 0) == 1 + 2 * 3
    assert pool.request_blocks(160, 0) == 10 + 2 * 3
    assert pool.bytes_per_sequence == pytest.approx(4000 * (2 + 15 / 2 / 16))


def test_no_layers_are_an_empty_pool() -> None:
    assert pool_of(()).blocks(1e9) == 0
    assert pool_of(()).concurrency(1e9, 100, 0) == 0


def test_the_longest_request_leaves_the_engine_its_own_block() -> None:
    pool = pool_of((FULL,))
    assert pool.longest(4000 * 10, 0, most=1_000_000) == 9 * 16
    assert pool.longest(4000 * 10, 0, most=100) == 100
    assert pool.longest(4000, 0, most=100) == 0


sizes = st.integers(1, 40)
full = st.builds(Cache, layers=sizes, kind=st.just("full"), page_bytes=sizes, tokens=sizes, paddable=st.booleans())
window = st.builds(
    Cache, layers=sizes, kind=st.just("window"), page_bytes=sizes, tokens=sizes, window=sizes, paddable=st.booleans()
)
state = st.builds(Cache, layers=sizes, kind=st.just("state"), page_bytes=sizes, ring=st.booleans())
models = st.lists(st.one_of(full, window, state), min_size=1, max_size=5).map(tuple)


@given(models, st.booleans(), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 5000), st.integers(0, 500))
def test_more_memory_never_holds_less(
    caches: tuple[Cache, ...], packed: bool, one: int, other: int, tokens: int, in_flight: int
) -> None:
    pool, less, more = pool_of(caches, block_outermost=packed), min(one, other), max(one, other)
    assert pool.blocks(less) <= pool.blocks(more)
    assert pool.concurrency(less, tokens, in_flight) <= pool.concurrency(more, tokens, in_flight)
    assert pool.longest(less, in_flight, most=5000) <= pool.longest(more, in_flight, most=5000)


@given(models, st.booleans(), st.integers(0, 10**7), st.integers(0, 500))
def test_the_longest_request_fits_and_one_token_more_does_not(
    caches: tuple[Cache, ...], packed: bool, memory: int, in_flight: int
) -> None:
    pool = pool_of(caches, block_outermost=packed)
    longest = pool.longest(memory, in_flight, most=5000)
    usable = pool.blocks(memory) - NULL_BLOCKS
    assert longest == 0 or pool.request_blocks(longest, in_flight) <= usable
    assert longest == 5000 or pool.request_blocks(longest + 1, in_flight) > usable


@given(models, st.booleans(), st.integers(1, 10**5))
def test_what_requests_hold_on_average_is_no_more_than_what_they_take_at_most(
    caches: tuple[Cache, ...], packed: bool, tokens: int
) -> None:
    pool = pool_of(caches, block_outermost=packed)
    windows = max((g.window for g in pool.groups), default=0)
    longest = tokens + windows  # a request shorter than its window holds less than the average says
    held = longest * pool.bytes_per_token + pool.bytes_per_sequence
    most = pool.block_bytes * pool.request_blocks(longest, in_flight=1)
    halves = pool.block_bytes * sum(1 for g in pool.groups if g.kind == "full")
    assert held <= most + halves
