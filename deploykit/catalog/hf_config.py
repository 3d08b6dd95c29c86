"""A checkpoint's `config.json` -> a profile to plan with, every assumption that config.json leaves open said in words.

For a model that has no profile yet. Only what the sums need is read; a config whose attention keeps something that no
formula here covers is refused, never guessed at.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

from deploykit.catalog.catalog import nearest
from deploykit.catalog.hf_attention import attention_of, layers_of
from deploykit.catalog.hf_keys import ConfigKeys
from deploykit.catalog.profile import Architecture, Checkpoint, DenseMlp, Experts, Profile, Serving

Precision = Literal["bf16", "fp8", "fp4", "mxfp4", "nvfp4", "int4"]

_METHODS: dict[str, Precision] = {
    "fp8": "fp8",
    "fbgemm_fp8": "fp8",
    "mxfp4": "mxfp4",
    "gptq": "int4",
    "gptq_marlin": "int4",
    "awq": "int4",
    "awq_marlin": "int4",
}
_DTYPES: dict[str, Precision] = {"bfloat16": "bf16", "float16": "bf16"}

UNCOVERED = {
    "compress_ratios": "compressed sparse attention keeps records that only a profile can describe",
    "index_topk": "sparse attention keeps an indexer's records beside the keys and values",
    "linear_num_key_heads": "linear attention keeps a state of its own",
    "full_attention_interval": "linear attention keeps a state of its own",
    "linear_attn_config": "linear attention keeps a state of its own",
    "block_configs": "layers that differ one by one are not in these sums",
}
"""Keys of config.json whose layers keep something that no formula here covers, and what that is."""


def is_config_path(name: str) -> bool:
    """Whether a model is given as a path to its config.json, or to the folder it lies in, and not by name."""
    return "/" in name or name.endswith(".json")


def profile_of(
    data: Mapping[str, Any],
    *,
    name: str,
    file: str,
    read: dt.date,
    weights_gb: float | None,
    architectures: tuple[str, ...],
) -> Profile:
    """Return the profile a config.json describes; its parameters are for `planning.parts` to count.

    Args:
        data: the parsed config.json.
        name: what the model is called.
        file: where the config stands, for messages and sources.
        read: the day it was read.
        weights_gb: size of the weight files beside it, GB; None derives it from the shape.
        architectures: those the engine's release serves.

    Raises:
        CatalogError: no architecture, one the engine does not know, a missing or wrong key, attention or
            quantisation that no sum here covers.

    """
    config = ConfigKeys(data, file)
    assumed: list[str] = []
    source = f"{file}, read by deploykit"
    stamp = {"source": source, "as_of": read}
    vllm_class = _class_of(config, architectures)
    for key, why in UNCOVERED.items():
        if config.data.get(key):
            what = f"this config's memory cannot be worked out from config.json alone: {why}"
            raise config.wrong(key, what, "write profiles/models/NAME.yaml (docs/how-to/add-a-model.md)")
    attention = attention_of(config, assumed)
    precision, block = _precision(config, assumed)
    experts = _experts(config)
    if weights_gb is None:
        assumed.append("the weights' size is parameters x bits: no weight files or index stand beside config.json")
    architecture = Architecture(
        vllm_class=vllm_class,
        layers=layers_of(config),
        hidden_size=config.whole("hidden_size", "dim"),
        attention_heads=config.whole("num_attention_heads", "n_heads"),
        vocab_size=config.whole("vocab_size"),
        max_context=config.whole("max_position_embeddings", "max_seq_len"),
        experts=experts,
        dense_mlp=_dense_mlp(config),
        tied_embeddings=config.data.get("tie_word_embeddings") is True,
        attention=attention,
        **stamp,
    )
    checkpoint = Checkpoint(
        name=precision,
        repo=str(data.get("_name_or_path") or name),
        precision=precision,
        weights_gb=weights_gb,
        quantization_block=block,
        **stamp,
    )
    assumed.append("no parser for tools or reasoning is set: config.json does not name one")
    return Profile(
        name=name,
        title=f"{name} (from its config.json)",
        vendor="unknown",
        open_weights=True,
        license=None,
        parameters=None,
        architecture=architecture,
        checkpoints=(checkpoint,),
        serving=Serving(min_vllm=None, **stamp),
        config_file=file,
        assumptions=tuple(assumed),
        source=source,
    )


def _class_of(config: ConfigKeys, architectures: tuple[str, ...]) -> str:
    named = config.top.get("architectures")
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        raise config.wrong("architectures", "config.json names no architecture", "it is the list `architectures`")
    if named[0] in architectures:
        return named[0]
    close = nearest(named[0], architectures)
    meant = f"did you mean `{close[0]}`? " if close else ""
    raise config.wrong(
        "architectures",
        f"the engine's release does not serve the architecture `{named[0]}`",
        f"{meant}take a release that serves it: profiles/engines/ holds them",
    )


def _experts(config: ConfigKeys) -> Experts | None:
    routed = config.maybe("n_routed_experts", "num_local_experts", "num_experts")
    if not routed:
        return None
    return Experts(
        routed=routed,
        per_token=config.whole("num_experts_per_tok", "moe_topk"),
        shared=config.maybe("n_shared_experts") or 0,
        width=config.whole("moe_intermediate_size", "intermediate_size"),
        layers=_layers_with(config, "E") or None,
        gated=_gated(config),
        latent_width=config.maybe("moe_latent_size") or None,
        shared_width=config.maybe("moe_shared_expert_intermediate_size", "shared_expert_intermediate_size") or None,
    )


def _dense_mlp(config: ConfigKeys) -> DenseMlp | None:
    layers, width = _layers_with(config, "-"), config.maybe("intermediate_size", "hidden_dim")
    return DenseMlp(layers=layers, width=width) if layers and width else None


def _layers_with(config: ConfigKeys, mark: str) -> int:
    """Return how many layers have experts (`E`) or an ordinary MLP (`-`), as a hybrid's pattern marks them."""
    pattern = "".join(str(letter) for letter in config.listed("hybrid_override_pattern"))
    if pattern:
        return pattern.count(mark)
    layers = layers_of(config)
    sparse = bool(config.maybe("n_routed_experts", "num_local_experts", "num_experts"))
    dense = min(config.maybe("first_k_dense_replace") or 0, layers) if sparse else layers
    return dense if mark == "-" else layers - dense


def _gated(config: ConfigKeys) -> bool:
    return str(config.data.get("mlp_hidden_act") or config.data.get("hidden_act")) != "relu2"


def _precision(config: ConfigKeys, assumed: list[str]) -> tuple[Precision, int | None]:
    """Return how the expert weights are stored and the block of their scales; CatalogError for a method unknown here."""
    how = config.within("quantization_config")
    if not how:
        dtype = str(config.data.get("torch_dtype") or config.data.get("dtype") or "bfloat16")
        if dtype not in _DTYPES:
            raise config.wrong("torch_dtype", f"weights of type `{dtype}` are not planned", "bfloat16 or float16")
        return _DTYPES[dtype], None
    method = str(how.get("quant_method", ""))
    algorithm = str(how.get("quant_algo", "")).lower()
    found = _METHODS.get(method)
    if found is None and algorithm in {"fp8", "nvfp4", "mxfp4"}:
        found = {"fp8": "fp8", "nvfp4": "nvfp4", "mxfp4": "mxfp4"}[algorithm]  # type: ignore[assignment] # of literals
    if found is None:
        raise config.wrong(
            "quantization_config.quant_method",
            f"the quantisation `{algorithm or method or 'unnamed'}` is not known here",
            f"known are {', '.join(sorted(_METHODS))}, and `quant_algo` of fp8, nvfp4 or mxfp4; else write a profile",
        )
    block = how.get("weight_block_size")
    if isinstance(block, list) and block and type(block[0]) is int and block[0] > 0:
        return found, block[0]
    if found != "fp8":
        assumed.append(f"{found} weights: the parts that are not experts are taken to be stored as the experts are")
    return found, None
