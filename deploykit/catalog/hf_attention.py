"""The keys of a `config.json` -> its layers as groups that keep the same per token and per sequence."""

from deploykit.catalog.attention import AttentionGroup, GroupedQuery, Latent, Mamba2
from deploykit.catalog.hf_keys import ConfigKeys


def layers_of(config: ConfigKeys) -> int:
    """Return the number of layers."""
    return config.whole("num_hidden_layers", "n_layers")


def attention_of(config: ConfigKeys, assumed: list[str]) -> tuple[AttentionGroup, ...]:
    """Return the layers by what they keep; what config.json leaves open is added to `assumed`."""
    layers = layers_of(config)
    rank = config.maybe("kv_lora_rank")
    if rank:
        latent = Latent(
            layers=layers,
            kv_lora_rank=rank,
            rope_dim=config.whole("qk_rope_head_dim"),
            q_lora_rank=config.maybe("q_lora_rank") or None,
            nope_dim=config.maybe("qk_nope_head_dim") or None,
            value_dim=config.maybe("v_head_dim") or None,
        )
        return (latent,)
    pattern = "".join(str(mark) for mark in config.listed("hybrid_override_pattern"))
    if pattern:
        return _hybrid(config, pattern)
    sliding = _sliding_layers(config, layers, assumed)
    groups: list[AttentionGroup] = []
    if layers - sliding:
        groups.append(_grouped(config, layers - sliding, window=None))
    if sliding:
        groups.append(_grouped(config, sliding, window=config.whole("sliding_window", "sliding_window_size")))
    return tuple(groups)


def _sliding_layers(config: ConfigKeys, layers: int, assumed: list[str]) -> int:
    """Return how many layers slide, where they are listed one by one; full attention is the careful reading else."""
    kinds = config.listed("layer_types")
    if kinds:
        return sum(kind == "sliding_attention" for kind in kinds[:layers])
    pattern = config.listed("hybrid_layer_pattern")
    if pattern:
        return sum(mark == 1 for mark in pattern[:layers])
    if config.maybe("sliding_window") and config.data.get("use_sliding_window") is not False:
        assumed.append("there is a sliding window and no list of the layers that slide: all keep their whole context")
    return 0


def _grouped(config: ConfigKeys, layers: int, *, window: int | None) -> GroupedQuery:
    """Return plain attention layers; those that slide may have shapes of their own, under `swa_` keys."""
    own = "swa_" if window is not None else ""
    heads = config.whole(f"{own}num_attention_heads", "num_attention_heads", "n_heads")
    size = config.maybe(f"{own}head_dim", "head_dim") or config.whole("hidden_size", "dim") // heads
    return GroupedQuery(
        layers=layers,
        kv_heads=config.maybe(f"{own}num_key_value_heads", "num_key_value_heads", "n_kv_heads") or heads,
        key_dim=size,
        value_dim=config.maybe(f"{own}v_head_dim", "v_head_dim") or size,
        window=window,
    )


def _hybrid(config: ConfigKeys, pattern: str) -> tuple[AttentionGroup, ...]:
    """Return attention (`*`) and Mamba (`M`) layers of a pattern; the rest keeps nothing."""
    groups: list[AttentionGroup] = []
    if pattern.count("*"):
        groups.append(_grouped(config, pattern.count("*"), window=None))
    if pattern.count("M"):
        dtype = config.data.get("mamba_ssm_cache_dtype")
        groups.append(
            Mamba2(
                layers=pattern.count("M"),
                heads=config.whole("mamba_num_heads"),
                head_dim=config.whole("mamba_head_dim"),
                state_size=config.whole("ssm_state_size"),
                groups=config.whole("n_groups"),
                conv_kernel=config.whole("conv_kernel"),
                state_dtype=dtype if dtype in {"float32", "float16", "bfloat16"} else "float32",
            )
        )
    if not groups:
        raise config.wrong("hybrid_override_pattern", "the pattern names no layer that keeps anything", "see the model")
    return tuple(groups)
