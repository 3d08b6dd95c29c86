"""A model: its parameters, architecture, checkpoints, and how vLLM serves it."""

from typing import Any, Literal

from pydantic import Field, JsonValue

from deploykit.base import Value
from deploykit.catalog import patterns
from deploykit.catalog.attention import AttentionGroup
from deploykit.catalog.fact import Facts


class Parameters(Facts):
    """Parameter counts, in billions."""

    total_b: float | None = Field(gt=0, description="All parameters.")
    active_b: float | None = Field(gt=0, description="Parameters that one output token uses.")


class Experts(Value):
    """The mixture-of-experts layers."""

    routed: int = Field(gt=0)
    per_token: int = Field(gt=0)
    shared: int | None = Field(None, ge=0, description="Shared experts per layer; null is unknown.")
    width: int = Field(gt=0, description="Intermediate size of one expert.")
    layers: int | None = Field(None, gt=0, description="Layers that have experts; null is unknown.")
    gated: bool = Field(True, description="Three matrices an expert (gate, up, down); without a gate two.")
    latent_width: int | None = Field(
        None, gt=0, description="What experts see instead of the hidden size, where they work on a projection of it."
    )
    shared_width: int | None = Field(None, gt=0, description="Intermediate size of a shared expert, where it differs.")


class DenseMlp(Value):
    """Layers with an ordinary MLP where others have experts."""

    layers: int = Field(gt=0)
    width: int = Field(gt=0)


class Architecture(Facts):
    """The fields of config.json that planning needs."""

    vllm_class: str = Field(description="The class in vLLM's model registry.")
    layers: int | None = Field(gt=0)
    hidden_size: int = Field(gt=0)
    attention_heads: int = Field(gt=0)
    vocab_size: int = Field(gt=0)
    max_context: int = Field(gt=0, description="Tokens of context the checkpoint's config allows.")
    experts: Experts | None = Field(None, description="Null for a dense model.")
    dense_mlp: DenseMlp | None = Field(None, description="Null where every layer has experts, or it is not known.")
    tied_embeddings: bool = Field(False, description="One matrix is embedding and output head.")
    hyper_connections: int | None = Field(
        None, gt=0, description="Residual streams that learned connections mix (config.json's `hc_mult`)."
    )
    attention: tuple[AttentionGroup, ...] = Field(min_length=1)
    draft_attention: tuple[AttentionGroup, ...] = Field(
        (), description="One layer of the draft module: what it keeps where speculative decoding runs it."
    )


class Checkpoint(Facts):
    """One published set of weights."""

    name: str = Field(pattern=patterns.NAME)
    repo: str = Field(description="Repository on the model hub.")
    revision: str | None = Field(
        None, description="Commit hash; null where none was read, and then it is pinned at install."
    )
    precision: Literal["bf16", "fp8", "fp4", "mxfp4", "nvfp4", "int4"] = Field(
        description="How the expert weights are stored."
    )
    weights_gb: float | None = Field(gt=0, description="Size on disk in GB (10^9 bytes); null is unknown.")
    min_memory_gb: float | None = Field(None, gt=0, description="GPU memory the publisher or recipe asks for, in GB.")
    dense_precision: Literal["bf16", "fp8", "mxfp8"] | None = Field(
        None, description="How attention, shared experts and dense MLPs are stored; null is unknown."
    )
    draft_layers: int | None = Field(None, gt=0, description="Decoder layers of its draft module; null is unknown.")
    draft_experts: int | None = Field(
        None, gt=0, description="Routed experts of a drafting layer, where they are fewer than in the model's own."
    )
    host_memory_gb: float | None = Field(None, gt=0, description="Of `weights_gb`, what stays in pinned host RAM.")
    quantization_block: int | None = Field(
        None, gt=0, description="Block width of the weight scales; a GPU's share of an expert must be a multiple."
    )
    min_capability: float | None = Field(None, description="Lowest CUDA compute capability it runs on.")
    native_capability: float | None = Field(
        None, description="Lowest capability with native kernels; below it vLLM falls back to weight-only."
    )
    drafts: tuple[str, ...] = Field((), description="Speculative decoding methods whose draft weights it carries.")
    max_tensor_parallel: int | None = Field(
        None, gt=0, description="A limit the publisher or recipe states beyond the arithmetic."
    )
    max_context: int | None = Field(
        None, gt=0, description="Tokens of context, where this checkpoint allows fewer than the architecture."
    )


class Speculation(Value):
    """One way of speculative decoding: vLLM's `speculative-config` and the checkpoint feature it needs."""

    method: str
    config: dict[str, JsonValue] = Field(description="vLLM's `--speculative-config`.")
    min_capability: float | None = None
    below_capability: float | None = Field(None, description="Only on GPUs below this capability.")


class Serving(Facts):
    """How vLLM serves the model."""

    min_vllm: str | None = Field(description="The first release that serves it, for people; nothing compares it.")
    first_start_s: float | None = Field(
        None, gt=0, description="Seconds of a first start, where the source gives them."
    )
    reasoning_parser: str | None = None
    tool_call_parser: str | None = None
    tokenizer_mode: str | None = None
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="vLLM settings the model needs everywhere."
    )
    environment: dict[str, str] = Field(default_factory=dict, description="Environment variables the model needs.")
    speculation: tuple[Speculation, ...] = ()
    per_architecture: tuple["ArchitectureLayout", ...] = ()


class ArchitectureLayout(Facts):
    """Settings for one range of GPU architectures, and layouts the source has tried there."""

    min_capability: float
    below_capability: float | None = None
    expert_parallel_only: bool = Field(False, description="Holds only for layouts with expert parallelism.")
    checkpoints: tuple[str, ...] = Field((), description="Holds only for these checkpoints; empty is all.")
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    tried: tuple[str, ...] = Field((), description="Layouts the source reports as working, in its own words.")


class StandInRecipe(Facts):
    """How to make a tiny random model of the same family that the real engine serves on a CPU."""

    config: dict[str, Any] = Field(description="Contents of config.json.")
    config_file: Literal["config.json", "params.json"] = "config.json"
    vocab_size: int = Field(4096, gt=300)
    seed: int = 0
    exercises: tuple[str, ...] = Field(min_length=1, description="What of the real model's road it runs.")
    not_exercised: tuple[str, ...] = Field(min_length=1, description="What of the real model's road it does not run.")


class Profile(Value):
    """A model, as facts. `name` is its file's stem; a stand-in has a `stand_in` recipe instead of published weights."""

    name: str
    title: str
    vendor: str
    open_weights: bool
    status: str | None = Field(None, description="Such as `deprecated`, in the vendor's words.")
    license: str | None = Field(description="SPDX identifier or the licence's name; null is unknown.")
    parameters: Parameters | None
    architecture: Architecture | None
    checkpoints: tuple[Checkpoint, ...] = ()
    serving: Serving | None = None
    rehearsal: str | None = Field(None, description="The stand-in of the same family, in profiles/standins/.")
    stand_in: StandInRecipe | None = None
    config_file: str | None = Field(
        None, description="The config.json it was read from; such a model is planned, not deployed."
    )
    assumptions: tuple[str, ...] = Field((), description="What was assumed where its config.json leaves it open.")
    source: str
    note: str | None = None
