"""Planning from a config.json: published sizes come out, and what no sum covers is refused."""

import contextlib
import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.attention import GroupedQuery, Latent, Mamba2
from deploykit.catalog.hf_config import UNCOVERED, is_config_path, profile_of
from deploykit.catalog.profile import Profile
from deploykit.errors import CatalogError
from deploykit.planning.parts import counted

SERVED = ("TestForCausalLM", "OtherForCausalLM")

# As published; only the keys that the sums need.
QWEN3: dict[str, Any] = {
    "architectures": ["TestForCausalLM"],
    "head_dim": 128,
    "hidden_size": 4096,
    "max_position_embeddings": 40960,
    "moe_intermediate_size": 1536,
    "num_attention_heads": 64,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 94,
    "num_key_value_heads": 4,
    "vocab_size": 151936,
}
KIMI_K2: dict[str, Any] = {
    "architectures": ["TestForCausalLM"],
    "first_k_dense_replace": 1,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "max_position_embeddings": 262144,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 384,
    "n_shared_experts": 1,
    "num_attention_heads": 64,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 163840,
}
NEMOTRON: dict[str, Any] = {
    "architectures": ["TestForCausalLM"],
    "conv_kernel": 4,
    "head_dim": 128,
    "hidden_size": 4096,
    "hybrid_override_pattern": "MEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEM*EMEMEMEME",
    "intermediate_size": 2688,
    "mamba_head_dim": 64,
    "mamba_num_heads": 128,
    "mamba_ssm_cache_dtype": "float32",
    "max_position_embeddings": 262144,
    "mlp_hidden_act": "relu2",
    "moe_intermediate_size": 2688,
    "moe_latent_size": 1024,
    "moe_shared_expert_intermediate_size": 5376,
    "n_groups": 8,
    "n_routed_experts": 512,
    "n_shared_experts": 1,
    "num_attention_heads": 32,
    "num_experts_per_tok": 22,
    "num_hidden_layers": 88,
    "num_key_value_heads": 2,
    "ssm_state_size": 128,
    "vocab_size": 131072,
}
SLIDING: dict[str, Any] = {
    **QWEN3,
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 47,
}


def read(data: dict[str, Any], **changes: Any) -> Profile:
    given_: dict[str, Any] = {
        "name": "mine",
        "file": "mine/config.json",
        "read": dt.date(2026, 1, 2),
        "weights_gb": None,
        "architectures": SERVED,
    }
    return profile_of(data, **{**given_, **changes})


def refused(data: dict[str, Any]) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        read(data)
    return caught.value


@pytest.mark.parametrize(
    ("config", "total_b", "active_b"),
    [(QWEN3, 235, 22), (KIMI_K2, 1026, 32), (NEMOTRON, 120.6, 12.7)],
)
def test_parameters_come_out_as_published(config: dict[str, Any], total_b: float, active_b: float) -> None:
    counts = counted(read(config)).parameters
    assert counts is not None
    assert counts.total_b == pytest.approx(total_b, rel=0.01)
    assert counts.active_b == pytest.approx(active_b, rel=0.04)


def test_each_kind_of_attention_is_read() -> None:
    def groups(config: dict[str, Any]) -> list[object]:
        architecture = read(config).architecture
        assert architecture is not None
        return list(architecture.attention)

    assert groups(QWEN3) == [GroupedQuery(layers=94, kv_heads=4, key_dim=128, value_dim=128)]
    assert groups(KIMI_K2) == [
        Latent(layers=61, kv_lora_rank=512, rope_dim=64, q_lora_rank=1536, nope_dim=128, value_dim=128)
    ]
    full, sliding = groups(SLIDING)
    assert isinstance(full, GroupedQuery)
    assert isinstance(sliding, GroupedQuery)
    assert (full.layers, full.window, sliding.layers, sliding.window) == (47, None, 47, 128)
    attention, mamba = groups(NEMOTRON)
    assert isinstance(attention, GroupedQuery)
    assert isinstance(mamba, Mamba2)
    assert (attention.layers, attention.kv_heads, mamba.layers, mamba.state_dtype) == (8, 2, 40, "float32")


def test_a_window_without_a_list_of_layers_is_read_with_care() -> None:
    made = read({**QWEN3, "sliding_window": 4096})
    assert made.architecture is not None
    assert made.architecture.attention == (GroupedQuery(layers=94, kv_heads=4, key_dim=128, value_dim=128),)
    assert any("sliding window" in text for text in made.assumptions)


@pytest.mark.parametrize(
    ("quantization", "precision", "block"),
    [
        (None, "bf16", None),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 128),
        ({"quant_method": "mxfp4"}, "mxfp4", None),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", None),
        ({"quant_method": "gptq", "bits": 4}, "int4", None),
    ],
)
def test_how_weights_are_stored(quantization: dict[str, Any] | None, precision: str, block: int | None) -> None:
    (checkpoint,) = read({**QWEN3, "quantization_config": quantization}).checkpoints
    assert (checkpoint.precision, checkpoint.quantization_block) == (precision, block)


def test_the_text_model_inside_a_larger_one_is_read() -> None:
    text = {key: value for key, value in QWEN3.items() if key != "architectures"}
    wrapped = {"architectures": ["TestForCausalLM"], "vision_config": {"hidden_size": 1024}, "text_config": text}
    assert read(wrapped).architecture == read(QWEN3).architecture


@pytest.mark.parametrize(
    ("change", "says", "key"),
    [
        ({"architectures": ["TestForCausalLm"]}, "does not serve the architecture", "architectures"),
        ({"architectures": None}, "names no architecture", "architectures"),
        ({"hidden_size": None}, "has no `hidden_size`", "hidden_size"),
        ({"hidden_size": "big"}, "`hidden_size` is 'big'", "hidden_size"),
        ({"num_attention_heads": 0}, "`num_attention_heads` is 0", "num_attention_heads"),
        ({"num_experts": -2}, "`num_experts` is -2", "num_experts"),
        ({"num_hidden_layers": -1}, "`num_hidden_layers` is -1", "num_hidden_layers"),
        ({"torch_dtype": "float8"}, "type `float8`", "torch_dtype"),
        (
            {"quantization_config": {"quant_method": "magic"}},
            "`magic` is not known",
            "quantization_config.quant_method",
        ),
        *(({key: [1]}, "cannot be worked out from config.json alone", key) for key in UNCOVERED),
    ],
)
def test_what_cannot_be_planned_is_refused_by_key(change: dict[str, Any], says: str, key: str) -> None:
    error = refused({**QWEN3, **change})
    assert says in error.what
    assert error.where is not None
    assert (error.where.file, error.where.key) == ("mine/config.json", key)
    assert error.hint


def test_an_architecture_that_is_misspelt_gets_the_nearest_one() -> None:
    assert "`TestForCausalLM`" in str(refused({**QWEN3, "architectures": ["TestForCausalLm"]}).hint)


ODD: list[Any] = [None, True, 0, -1, 1, 10**30, 2.5, float("nan"), "", "text", [], [1], ["a", None], {}, {"a": 1}]
KEYS = sorted({*QWEN3, *KIMI_K2, *NEMOTRON, "layer_types", "quantization_config", "text_config", "torch_dtype"})


@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(ODD), max_size=4))
def test_no_config_gives_anything_but_a_profile_or_an_error(changes: dict[str, Any]) -> None:
    with contextlib.suppress(CatalogError):
        assert read({**QWEN3, **changes}).checkpoints


@pytest.mark.parametrize(
    ("given_name", "is_path"), [("qwen3", False), ("./qwen3", True), ("a/b/config.json", True), ("config.json", True)]
)
def test_what_is_taken_for_a_path(given_name: str, *, is_path: bool) -> None:
    assert is_config_path(given_name) is is_path
