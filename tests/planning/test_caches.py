"""Caches of the shipped models against sums worked by hand, and laws that hold for every model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.attention import (
    AttentionGroup,
    CompressedLatent,
    GroupedQuery,
    Latent,
    Mamba2,
    RecordFormat,
    Ring,
    Stream,
    Window,
)
from deploykit.planning.caches import Storage, caches_of, is_packed
from deploykit.planning.pages import Cache, Pool, pool_of
from tests.planning.builders import shipped

HOPPER, BLACKWELL, RTX = 9.0, 10.0, 12.0


def groups(model: str, *, drafts: bool = False) -> tuple[AttentionGroup, ...]:
    architecture = shipped().model(model).architecture
    assert architecture is not None
    return architecture.attention + (architecture.draft_attention if drafts else ())


def pool(model: str, storage: Storage, *, tensor: int = 1, drafts: bool = False) -> Pool:
    kept = groups(model, drafts=drafts)
    return pool_of(caches_of(kept, storage, tensor=tensor), block_outermost=is_packed(kept))


@pytest.mark.parametrize(
    ("model", "capability", "block"),
    [
        # A page of 256 tokens: 64 records x 584 = 37,376 B, up to a multiple of 576 = 37,440 (CSA and windows);
        # 2 x 584 = 1168, 1728 (HCA); 64 x 132 = 8448, 8640 (FP8 indexer), 64 x 68 = 4352, 4608 (MXFP4).
        # The streams are the largest group: 30 x 37,440 + 31 x 1728 + 30 x 8640, and 21, 20, 21 of them.
        ("deepseek-v4-pro", HOPPER, 1_435_968),
        ("deepseek-v4-pro", BLACKWELL, 1_315_008),
        ("deepseek-v4-flash", HOPPER, 1_002_240),
        ("deepseek-v4-flash", BLACKWELL, 917_568),
        # The MXFP4 indexer's kernels are for SM100 to SM103 alone.
        ("deepseek-v4-flash", RTX, 1_002_240),
    ],
)
def test_blocks_of_compressed_latent_models(model: str, capability: float, block: int) -> None:
    made = pool(model, Storage(dtype="fp8", capability=capability))
    assert made.block_bytes == block
    assert made.bytes_per_token == block / 256


def test_what_a_v4_flash_request_holds() -> None:
    made = pool("deepseek-v4-flash", Storage(dtype="fp8", capability=HOPPER))
    # 43 windows in two groups, for 21 CSA and 20 HCA layers make chunks of 22 the least waste; the compressors of CSA
    # and its indexer in one group, HCA's in another.
    assert [(g.kind, g.layers, g.tokens) for g in made.groups] == [
        ("full", 62, 256),
        ("window", 22, 64),
        ("window", 21, 64),
        ("window", 42, 4),
        ("window", 20, 8),
    ]
    # A window of 128 spans 127 / 64 + 1 pages on average; 7 / 4 + 1, 127 / 8 + 1; and half of the last page of 256.
    held = 2 * (127 / 64 + 1) + (7 / 4 + 1) + (127 / 8 + 1) + 255 / 2 / 256
    assert made.bytes_per_sequence == pytest.approx(held * 1_002_240)
    # 8,192 tokens under way: ceil(319 x 8) tokens of prompt take 10 blocks of the streams, and of the windows
    # ceil((127 + 2,560) / 64) + 1, at most the prompt's own.
    assert made.request_blocks(2560, 8192) == 10 + 2 * (40 + 1) + (640 + 1) + (320 + 1)


def test_the_draft_module_adds_its_windows() -> None:
    storage = Storage(dtype="fp8", capability=HOPPER)
    layers = sum(g.layers for g in pool("deepseek-v4-flash", storage).groups if g.tokens == 64)
    assert layers == 43
    drafting = pool("deepseek-v4-flash", storage, drafts=True)
    assert sum(g.layers for g in drafting.groups if g.tokens == 64) == 44


@pytest.mark.parametrize(
    ("capability", "kv_cache_dtype", "per_token"),
    [
        # Three pages of 128 records and one of 256: 3 x 74,880 + 149,760 + 3 x 17,280 + 33,984 = 460,224 for 256 tokens.
        (HOPPER, None, 460_224 / 256),
        # Multiples of 512: 3 x 67,584 + 135,168 + 3 x 8704 + 17,408
        (BLACKWELL, None, 381_440 / 256),
        # 3 x 36,864 + 73,728 + 3 x 8704 + 17,408 = 227,840, 890 B a token as DeepSeek publishes
        (BLACKWELL, "nvfp4_ds_mla", 890),
        # Hopper has no kernels for it, so asking changes nothing.
        (HOPPER, "nvfp4_ds_mla", 460_224 / 256),
    ],
)
def test_v41_keeps_few_bytes_a_token(capability: float, kv_cache_dtype: str | None, per_token: float) -> None:
    storage = Storage(dtype="fp8", capability=capability, kv_cache_dtype=kv_cache_dtype)
    kept = sum(
        c.layers * c.page_bytes / c.tokens
        for c in caches_of(groups("deepseek-v4.1-flash"), storage, tensor=1)
        if c.kind == "full"
    )
    assert kept == per_token


@pytest.mark.parametrize(
    ("model", "bf16"),
    [
        ("nemotron-3-super", 8192),  # 8 x 2 heads x (128 + 128) x 2 B
        ("nemotron-3-ultra", 12_288),  # 12 x 2 x 256 x 2
        ("mimo-v2.5-pro", 51_200),  # 10 x 8 x (192 + 128) x 2
        ("mimo-v2.6-pro", 51_200),
        ("mimo-v2-flash", 23_040),  # 9 x 4 x 320 x 2
        ("gpt-oss-120b", 36_864),  # 18 x 8 x (64 + 64) x 2
        ("qwen3-235b", 192_512),  # 94 x 4 x (128 + 128) x 2
        ("mistral-small-4", 23_040),  # 36 x (256 + 64) x 2
    ],
)
def test_bytes_of_one_more_token_in_bf16_and_fp8(model: str, bf16: int) -> None:
    assert pool(model, Storage(capability=HOPPER)).bytes_per_token == bf16
    # A state is as large whatever the keys: its page takes more tokens then.
    assert pool(model, Storage(dtype="fp8", capability=HOPPER)).bytes_per_token == bf16 / 2


def test_attention_pages_grow_to_a_state() -> None:
    # 128 heads x 64 x 128 x 4 B + 3 x (8192 + 2 x 8 x 128) x 2 B = 4,255,744 B; a page of 16 tokens is 16 x 1024 B, and
    # 260 of them cover it: 4160 tokens, 4,259,840 B. Eight attention layers, and the 40 of Mamba in five groups of eight.
    made = pool("nemotron-3-super", Storage(capability=HOPPER, prefix_caching=False))
    assert made.block_bytes == 8 * 4_259_840
    assert [(g.kind, g.layers, g.tokens) for g in made.groups if g.kind == "full"] == [("full", 8, 4160)]
    assert [(g.layers, g.held_pages, g.most_pages) for g in made.groups if g.kind == "state"] == [(8, 1, 1)] * 5
    cached = pool("nemotron-3-super", Storage(capability=HOPPER))
    assert [(g.held_pages, g.most_pages) for g in cached.groups if g.kind == "state"] == [(1, 3)] * 5


def test_windows_of_twice_the_heads_make_pages_of_twice_the_tokens() -> None:
    # MiMo V2 Flash: 9 full layers of 4 heads, 39 windows of 8. A window's page of 16 tokens is as large as 32 of full
    # attention; groups of at most 9: five of windows.
    made = pool("mimo-v2-flash", Storage(capability=HOPPER))
    assert [(g.kind, g.layers, g.tokens) for g in made.groups] == [
        ("full", 9, 32),
        *[("window", n, 16) for n in (8, 8, 8, 8, 7)],
    ]
    assert made.block_bytes == 9 * 16 * 8 * 320 * 2


def test_tensor_parallelism_shares_out_heads_until_one_is_left() -> None:
    # Nemotron has two KV heads: TP2 halves the cache, TP8 copies. Mamba's state goes on being shared out.
    found = [pool("nemotron-3-super", Storage(capability=HOPPER), tensor=tp) for tp in (1, 2, 4, 8)]
    assert [p.bytes_per_token for p in found] == [8192, 4096, 4096, 4096]
    # 16 heads x 64 x 128 x 4 + 3 x (16 x 64 + 2 x 1 x 128) x 2 = 531,968 B, in pages of 512 B a token: 1040 tokens
    assert found[3].block_bytes == 8 * 1040 * 512


def test_tensor_parallelism_copies_latents() -> None:
    for model in ("deepseek-v4-pro", "mistral-small-4"):
        storage = Storage(capability=HOPPER)
        assert pool(model, storage, tensor=8) == pool(model, storage)


def test_a_stage_keeps_its_own_layers() -> None:
    kept = caches_of(groups("qwen3-235b"), Storage(), tensor=8, stage=0.5)
    assert [c.layers for c in kept] == [47]


sizes = st.integers(1, 256)
formats = st.builds(RecordFormat, name=st.just("f"), bytes=sizes, min_capability=st.sampled_from([9.0, 10.0])).map(
    lambda f: (f,)
)
grouped = st.builds(
    GroupedQuery,
    layers=sizes,
    kv_heads=sizes,
    key_dim=sizes,
    value_dim=sizes,
    window=st.none() | st.integers(1, 4096),
)
mamba = st.builds(
    Mamba2, layers=sizes, heads=sizes, head_dim=sizes, state_size=sizes, groups=sizes, conv_kernel=st.integers(1, 8)
)
latent = st.builds(Latent, layers=sizes, kv_lora_rank=sizes, rope_dim=sizes)
compressed = st.builds(
    CompressedLatent,
    streams=st.lists(
        st.builds(Stream, layers=sizes, tokens_per_record=st.sampled_from([1, 2, 4, 128]), formats=formats),
        min_size=1,
        max_size=3,
    ).map(tuple),
    windows=st.lists(
        st.builds(Window, layers=sizes, window=sizes, page_tokens=st.sampled_from([4, 64]), formats=formats), max_size=3
    ).map(tuple),
    rings=st.lists(st.builds(Ring, layers=sizes, rows=sizes, row_bytes=sizes), max_size=1).map(tuple),
)
any_group = st.one_of(grouped, mamba, latent, compressed)


def kept(group: AttentionGroup, tensor: int, dtype: str = "bf16") -> int:
    storage = Storage(dtype=dtype, capability=HOPPER)  # type: ignore[arg-type] # drawn from its two words
    return sum(c.layers * c.page_bytes for c in caches_of((group,), storage, tensor=tensor))


@given(any_group, st.integers(1, 64), st.integers(1, 64))
def test_more_gpus_never_hold_more_each_and_never_less_than_an_even_share(
    group: AttentionGroup, one: int, other: int
) -> None:
    fewer, more = sorted((one, other))
    assert kept(group, more) <= kept(group, fewer)
    # Rounded up shares: n GPUs together hold at least what one would.
    assert kept(group, more) * more >= kept(group, 1)


@given(any_group)
def test_fp8_is_never_larger_than_bf16(group: AttentionGroup) -> None:
    assert kept(group, 1, "fp8") <= kept(group, 1, "bf16")


@given(st.lists(any_group, min_size=1, max_size=4), st.booleans())
def test_no_layer_is_lost_and_every_block_holds_each_group(drawn: list[AttentionGroup], packed: bool) -> None:
    caches: tuple[Cache, ...] = caches_of(tuple(drawn), Storage(capability=HOPPER), tensor=1)
    made = pool_of(caches, block_outermost=packed)
    assert sum(g.layers for g in made.groups) == sum(c.layers for c in caches)
    assert all(0 < g.block_bytes <= made.block_bytes for g in made.groups)
    assert made.block_bytes >= max(c.page_bytes for c in caches)
