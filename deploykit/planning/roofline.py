"""A layout under load -> what a step of the engine must move, compute and launch, as seconds at the hardware's peak.

Each term is a time the datasheet allows, or a count where no datasheet has a figure; a calibration says how many times
longer vLLM takes. Terms add up: the kernels of a step run one after the other.
"""

from dataclasses import dataclass, fields

from deploykit.catalog.attention import GroupedQuery, Latent
from deploykit.catalog.node import Gpu
from deploykit.catalog.profile import Architecture
from deploykit.planning.plan import Parallelism
from deploykit.planning.weights import Weights
from deploykit.units import GB

STEP_TOKENS = 8192
"""Prompt tokens a step takes at most: vLLM's max-num-batched-tokens in the measured runs."""

TERA = 1e12


@dataclass(frozen=True)
class Subject:
    """What is fixed for a layout: the model, its weights, one GPU, and how engines are spread over GPUs."""

    architecture: Architecture
    weights: Weights
    active_b: float
    """Parameters in billions that one token uses."""
    precision: str
    gpu: Gpu
    layout: Parallelism
    bytes_per_token: float
    """KV cache of one token on one GPU."""
    bytes_per_sequence: float
    """KV cache of one sequence on one GPU, whatever its length."""
    kv_bytes: float | None = None
    """KV cache of one GPU; None is unknown, and then no request waits for room."""
    speculative: bool = False
    disaggregated: bool = False
    runtime: str = "cuda"

    @property
    def gpus(self) -> int:
        """GPUs of the whole plan."""
        return self.layout.gpus_per_engine * self.layout.replicas

    @property
    def ranks(self) -> int:
        """Data-parallel ranks of all engines: each runs its own batch."""
        return self.layout.data * self.layout.replicas


@dataclass(frozen=True)
class Peaks:
    """What the datasheet allows one GPU, in bytes and FLOPs per second."""

    memory: float
    flops: float
    """In the format of the weights that are not routed experts."""
    bf16_flops: float
    link: float | None
    """NVLink in one direction; None is unknown."""


@dataclass(frozen=True)
class Work:
    """What one data-parallel rank has to do: sequences that decode at once, and tokens per request."""

    sequences: float
    prompt: float
    """Prompt tokens to compute: those found in the prefix cache are not."""
    context: float
    """Tokens a decoding sequence attends to, in the mean over its life."""
    output: float


@dataclass(frozen=True)
class StepTerms:
    """A mean decode step with its share of prompts, in the order of `StepCoefficients`."""

    weights: float
    experts: float
    kv: float
    dense_flops: float
    expert_flops: float
    link: float
    layer_s: float
    routed_s: float
    collective_s: float


@dataclass(frozen=True)
class PromptTerms:
    """One prompt on its way to its first token, in the order of `PromptCoefficients` without `queue`."""

    fixed_s: float
    steps: float
    layer_s: float
    weights: float
    dense_flops: float
    expert_flops: float
    link: float


def peaks_of(subject: Subject) -> Peaks | None:
    """Return the GPU's peaks, or None where bandwidth or FLOPs are unknown.

    Checkpoints of four bits keep all but the routed experts in BF16, so only FP8 ones compute faster there.
    """
    gpu = subject.gpu
    dense = gpu.tflops.fp8 if subject.precision == "fp8" else gpu.tflops.bf16
    if gpu.bandwidth_tb_s is None or dense is None or gpu.tflops.bf16 is None:
        return None
    link = None if gpu.nvlink_gb_s is None else gpu.nvlink_gb_s * GB / 2
    return Peaks(gpu.bandwidth_tb_s * TERA, dense * TERA, gpu.tflops.bf16 * TERA, link)


def touched(architecture: Architecture, tokens: float) -> float:
    """Return the share of the routed experts that so many tokens use at least once: 1 - (1 - k/E)^tokens."""
    experts = architecture.experts
    return 0.0 if experts is None else float(1.0 - (1.0 - experts.per_token / experts.routed) ** tokens)


def step_terms(subject: Subject, peaks: Peaks, work: Work) -> StepTerms:
    """Return the terms of a mean step while `work.sequences` decode and a new prompt comes for each that ends.

    In a closed loop a sequence ends after `output` steps, so a step brings sequences / output prompts in the mean.
    """
    layout, arch = subject.layout, subject.architecture
    ranks = layout.tensor * layout.data
    prompt_tokens = work.sequences * work.prompt / work.output
    tokens = work.sequences + prompt_tokens
    layers, spans = float(arch.layers or 0), ranks > 1
    return StepTerms(
        weights=subject.weights.dense_gb * GB / layout.tensor / peaks.memory,
        experts=subject.weights.experts_gb * GB / ranks * _touched_in_step(subject, work) / peaks.memory,
        kv=work.sequences * (work.context * subject.bytes_per_token + subject.bytes_per_sequence) / peaks.memory,
        dense_flops=_dense_seconds(subject, peaks, tokens)
        + _attention_seconds(subject, peaks, prompt_tokens, work.prompt / 2),
        expert_flops=_expert_seconds(subject, peaks, tokens * layout.data),
        link=_link_seconds(subject, peaks, tokens),
        layer_s=layers,
        routed_s=layers * (arch.experts.per_token if arch.experts else 0),
        collective_s=layers if spans else 0.0,
    )


def prompt_terms(subject: Subject, peaks: Peaks, work: Work, *, step_s: float) -> PromptTerms:
    """Return the terms of one prompt's way to its first token, with nothing else in the queue."""
    layout, arch = subject.layout, subject.architecture
    chunks = max(1.0, work.prompt / STEP_TOKENS)
    experts = subject.weights.experts_gb / (layout.tensor * layout.data) * touched(arch, work.prompt)
    return PromptTerms(
        fixed_s=1.0,
        steps=step_s,
        layer_s=chunks * float(arch.layers or 0),
        weights=chunks * (subject.weights.dense_gb / layout.tensor + experts) * GB / peaks.memory,
        dense_flops=_dense_seconds(subject, peaks, work.prompt)
        + _attention_seconds(subject, peaks, work.prompt, work.prompt / 2),
        expert_flops=_expert_seconds(subject, peaks, work.prompt),
        link=_link_seconds(subject, peaks, work.prompt),
    )


def weighted(coefficients: object, terms: StepTerms | PromptTerms) -> float:
    """Return the sum of each term times its coefficient, in seconds."""
    return float(sum(getattr(coefficients, f.name) * getattr(terms, f.name) for f in fields(terms)))


def attention_kinds(architecture: Architecture) -> tuple[str, ...]:
    """Return the kinds of attention layers as a calibration lists them; a sliding window is a kind of its own."""
    return tuple(sorted({"sliding_window" if _window(group) else group.kind for group in architecture.attention}))


def expert_params_b(architecture: Architecture) -> float:
    """Return the routed-expert parameters in billions that one token uses: 3 matrices of hidden x width per expert."""
    experts = architecture.experts
    if experts is None:
        return 0.0
    each = 3 * architecture.hidden_size * experts.width
    return each * experts.per_token * (architecture.layers or 0) / GB


def _touched_in_step(subject: Subject, work: Work) -> float:
    """Return the share of experts a mean step reads: its decoding tokens', and all of a prompt's where one comes in."""
    tokens = work.sequences * subject.layout.data
    share = touched(subject.architecture, tokens)
    chunks = max(1.0, work.prompt / STEP_TOKENS)
    with_prompt = min(1.0, tokens / work.output * chunks)
    return share + with_prompt * (touched(subject.architecture, tokens + work.prompt) - share)


def _dense_seconds(subject: Subject, peaks: Peaks, tokens: float) -> float:
    dense_b = max(0.0, subject.active_b - expert_params_b(subject.architecture))
    return 2 * dense_b * GB * tokens / subject.layout.tensor / peaks.flops


def _expert_seconds(subject: Subject, peaks: Peaks, tokens: float) -> float:
    expert_b = min(subject.active_b, expert_params_b(subject.architecture))
    return 2 * expert_b * GB * tokens / (subject.layout.tensor * subject.layout.data) / peaks.bf16_flops


def _attention_seconds(subject: Subject, peaks: Peaks, tokens: float, context: float) -> float:
    """Scores and weighted sums of new tokens over so much context each: 2 FLOPs per head, dimension and pair."""
    arch = subject.architecture
    flops = 0.0
    for group in arch.attention:
        if isinstance(group, GroupedQuery):
            seen = context if group.window is None else min(context, float(group.window))
            flops += 2 * arch.attention_heads * (group.key_dim + group.value_dim) * group.layers * tokens * seen
        elif isinstance(group, Latent):
            # For a prompt the latent is expanded to full heads; the facts do not state their width.
            flops += 2 * 2 * arch.hidden_size * group.layers * tokens * context
    return flops / subject.layout.tensor / peaks.bf16_flops


def _link_seconds(subject: Subject, peaks: Peaks, tokens: float) -> float:
    """Two all-reduces per layer in BF16; each sends 2 (n - 1) / n of its bytes over every GPU's link."""
    n = subject.layout.tensor * subject.layout.data
    if n == 1 or peaks.link is None:
        return 0.0
    each = tokens * subject.architecture.hidden_size * 2 * 2 * (n - 1) / n
    return 2 * each * float(subject.architecture.layers or 0) / peaks.link


def _window(group: object) -> bool:
    return isinstance(group, GroupedQuery) and group.window is not None
