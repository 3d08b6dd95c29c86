"""Bytes of context: the shipped models against sums worked by hand, and laws that hold for every model."""

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
    Stream,
    bytes_per_sequence,
    bytes_per_token,
    record_format,
)
from deploykit.effects.yaml_files import YamlCatalog

HOPPER, BLACKWELL, RTX = 9.0, 10.0, 12.0


def groups(shipped: YamlCatalog, model: str) -> tuple[AttentionGroup, ...]:
    architecture = shipped.model(model).architecture
    assert architecture is not None
    return architecture.attention


def per_token(shipped, model, *, dtype="bf16", tensor_parallel=1, capability=HOPPER, kv_cache_dtype=None) -> float:
    return sum(
        bytes_per_token(
            group,
            dtype=dtype,
            tensor_parallel=tensor_parallel,
            capability=capability,
            kv_cache_dtype=kv_cache_dtype,
        )
        for group in groups(shipped, model)
    )


def per_sequence(shipped, model, *, dtype="bf16", tensor_parallel=1) -> int:
    return sum(bytes_per_sequence(g, dtype=dtype, tensor_parallel=tensor_parallel) for g in groups(shipped, model))


@pytest.mark.parametrize(
    ("model", "capability", "expected"),
    [
        # 30 CSA layers x 584 / 4 = 4380; 31 HCA layers x 584 / 128 = 141.4375; 30 indexers x 132 / 4 = 990, x 68 / 4 = 510
        ("deepseek-v4-pro", HOPPER, 5511.4375),
        ("deepseek-v4-pro", BLACKWELL, 5031.4375),
        # 21 x 584 / 4 = 3066; 20 x 584 / 128 = 91.25; 21 x 132 / 4 = 693, x 68 / 4 = 357
        ("deepseek-v4-flash", HOPPER, 3850.25),
        ("deepseek-v4-flash", BLACKWELL, 3514.25),
        # 3 x 584 / 2 + 584 + 3 x 132 / 2 + 132 = 876 + 584 + 198 + 132; 792 + 528 + 102 + 68
        ("deepseek-v4.1-flash", HOPPER, 1790),
        ("deepseek-v4.1-flash", BLACKWELL, 1490),
        # The MXFP4 indexer's and MXFP8 latent's kernels are for SM100 to SM103 alone.
        ("deepseek-v4-flash", RTX, 3850.25),
        ("deepseek-v4.1-flash", RTX, 1790),
    ],
)
def test_compressed_latent_models_by_gpu(shipped: YamlCatalog, model: str, capability: float, expected: float) -> None:
    assert per_token(shipped, model, capability=capability) == expected


def test_nvfp4_latent_is_used_only_where_it_is_asked_for(shipped: YamlCatalog) -> None:
    # 3 x 288 / 2 + 288 + 3 x 68 / 2 + 68 = 432 + 288 + 102 + 68 = 890, the figure DeepSeek publishes
    asked = {"capability": BLACKWELL, "kv_cache_dtype": "nvfp4_ds_mla"}
    assert per_token(shipped, "deepseek-v4.1-flash", **asked) == 890
    assert per_token(shipped, "deepseek-v4.1-flash", capability=BLACKWELL, kv_cache_dtype="fp8") == 1490
    # Hopper has no kernels for it, so asking changes nothing.
    assert per_token(shipped, "deepseek-v4.1-flash", capability=HOPPER, kv_cache_dtype="nvfp4_ds_mla") == 1790


@pytest.mark.parametrize(
    ("model", "bf16", "per_sequence_bf16"),
    [
        # 8 x 2 heads x (128 + 128) x 2 B; 40 x (128 x 64 x 128 x 4 + 3 x (8192 + 2 x 8 x 128) x 2) = 40 x 4,255,744
        ("nemotron-3-super", 8192, 170_229_760),
        # 12 x 2 x 256 x 2; 48 x (256 x 64 x 128 x 4 + 3 x (16,384 + 2048) x 2) = 48 x 8,499,200
        ("nemotron-3-ultra", 12_288, 407_961_600),
        # 10 x 8 x (192 + 128) x 2; 60 x 8 x 320 x 128 x 2
        ("mimo-v2.5-pro", 51_200, 39_321_600),
        ("mimo-v2.6-pro", 51_200, 39_321_600),
        # 9 x 4 x 320 x 2; 39 x 8 x 320 x 128 x 2
        ("mimo-v2-flash", 23_040, 25_559_040),
        # 18 x 8 x (64 + 64) x 2; 18 x 8 x 128 x 128 x 2
        ("gpt-oss-120b", 36_864, 4_718_592),
        # 94 x 4 x (128 + 128) x 2
        ("qwen3-235b", 192_512, 0),
        # 36 x (256 + 64) x 2
        ("mistral-small-4", 23_040, 0),
    ],
)
def test_models_in_bf16_on_one_gpu(shipped: YamlCatalog, model: str, bf16: int, per_sequence_bf16: int) -> None:
    assert per_token(shipped, model) == bf16
    assert per_token(shipped, model, dtype="fp8") == bf16 / 2
    assert per_sequence(shipped, model) == per_sequence_bf16


@pytest.mark.parametrize(
    ("model", "expected"),
    # 62, 44 and 43 layers (the drafting ones among them) x 128 tokens x 584 B
    [("deepseek-v4-pro", 62), ("deepseek-v4-flash", 44), ("deepseek-v4.1-flash", 43)],
)
def test_windows_of_compressed_latent_models(shipped: YamlCatalog, model: str, expected: int) -> None:
    assert per_sequence(shipped, model) == expected * 128 * 584


def test_tensor_parallelism_shares_out_heads_until_one_is_left(shipped: YamlCatalog) -> None:
    # Nemotron has two KV heads: TP2 halves the cache, TP8 copies. Mamba state goes on being shared: 128 heads / 8 = 16.
    assert [per_token(shipped, "nemotron-3-super", tensor_parallel=tp) for tp in (1, 2, 4, 8)] == [
        8192,
        4096,
        4096,
        4096,
    ]
    # 40 x (16 x 64 x 128 x 4 + 3 x (16 x 64 + 2 x 1 x 128) x 2) = 40 x (524,288 + 7,680)
    assert per_sequence(shipped, "nemotron-3-super", tensor_parallel=8) == 40 * (524_288 + 7_680)


def test_tensor_parallelism_copies_latents(shipped: YamlCatalog) -> None:
    for model in ("deepseek-v4-pro", "mistral-small-4"):
        assert per_token(shipped, model, tensor_parallel=8) == per_token(shipped, model)


def test_a_gpu_too_old_for_every_format_is_counted_with_the_largest() -> None:
    stream = Stream(
        layers=1,
        tokens_per_record=1,
        formats=(
            RecordFormat(name="large", bytes=100, min_capability=9.0),
            RecordFormat(name="small", bytes=10, min_capability=10.0),
        ),
    )
    assert record_format(stream, 8.0).name == "large"


sizes = st.integers(1, 256)
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
formats = st.builds(RecordFormat, name=st.just("f"), bytes=sizes, min_capability=st.sampled_from([9.0, 10.0]))
compressed = st.builds(
    CompressedLatent,
    streams=st.lists(
        st.builds(
            Stream, layers=sizes, tokens_per_record=sizes, formats=st.lists(formats, min_size=1, max_size=3).map(tuple)
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    window_bytes_per_sequence=st.integers(0, 10**9),
)
any_group = st.one_of(grouped, mamba, latent, compressed)


def total(group: AttentionGroup, tensor_parallel: int, dtype: str = "bf16") -> float:
    return bytes_per_token(group, dtype=dtype, tensor_parallel=tensor_parallel, capability=HOPPER) + bytes_per_sequence(
        group, dtype=dtype, tensor_parallel=tensor_parallel
    )


@given(any_group, st.integers(1, 64), st.integers(1, 64))
def test_more_gpus_never_hold_more_each_and_never_less_than_an_even_share(group, one, other) -> None:
    fewer, more = sorted((one, other))
    assert total(group, more) <= total(group, fewer)
    # Rounded up shares: n GPUs together hold at least what one would.
    assert total(group, more) * more >= total(group, 1) * (1 - 1e-12)


@given(grouped, st.integers(257, 10_000))
def test_one_head_is_the_least_a_gpu_holds(group: GroupedQuery, tensor_parallel: int) -> None:
    one_head = group.model_copy(update={"kv_heads": 1})
    assert total(group, tensor_parallel) == total(one_head, 1)


@given(any_group)
def test_fp8_is_never_larger_than_bf16(group: AttentionGroup) -> None:
    assert total(group, 1, "fp8") <= total(group, 1, "bf16")


@given(any_group, st.integers(1, 64))
def test_windows_and_mamba_cost_nothing_per_token(group: AttentionGroup, tensor_parallel: int) -> None:
    fixed = isinstance(group, Mamba2) or (isinstance(group, GroupedQuery) and group.window is not None)
    cost = bytes_per_token(group, dtype="bf16", tensor_parallel=tensor_parallel, capability=HOPPER)
    assert (cost == 0) == fixed
