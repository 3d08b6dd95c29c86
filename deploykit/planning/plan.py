"""A plan: what will be served, on what layout, within which limits, by which settings, and why."""

from typing import Literal

from pydantic import Field, JsonValue

from deploykit.base import Value
from deploykit.caveat import Caveat
from deploykit.planning.predicted import OperatingPoint


class Choice(Value):
    """One decision: an engine setting or environment variable with its reason and source."""

    setting: str = Field(description="vLLM's flag without dashes in front, or the environment variable.")
    value: JsonValue
    because: str
    source: str = Field(
        description="Who decided: `planner`, a profile, a known issue, the operator, with file or formula."
    )


class PlannedCheckpoint(Value):
    """The weights the plan serves."""

    name: str
    repo: str
    revision: str | None
    precision: str
    weights_gb: float
    weights_basis: str = Field(description="`published`, or how the size was derived.")


class PlannedDraft(Value):
    """A draft model of speculative decoding that is a repository of its own."""

    repo: str
    revision: str | None


class Parallelism(Value):
    """How one engine is spread over GPUs, and how many engines there are."""

    tensor: int = Field(1, ge=1)
    pipeline: int = Field(1, ge=1)
    data: int = Field(1, ge=1, description="Data-parallel attention ranks of one engine.")
    expert: bool = Field(False, description="Experts are spread over all tensor x data ranks.")
    nodes_per_engine: int = Field(1, ge=1)
    replicas: int = Field(1, ge=1, description="Engines behind the gateway.")

    @property
    def gpus_per_engine(self) -> int:
        """GPUs that one engine takes."""
        return self.tensor * self.pipeline * self.data

    def __str__(self) -> str:
        """Return the layout in the field's shorthand, such as `2 x (TP4 DP2 EP)`."""
        parts = [f"TP{self.tensor}"]
        parts += [f"PP{self.pipeline}"] if self.pipeline > 1 else []
        parts += [f"DP{self.data}"] if self.data > 1 else []
        parts += ["EP"] if self.expert else []
        layout = " ".join(parts)
        return f"{self.replicas} x ({layout})" if self.replicas > 1 else layout


class MemoryPart(Value):
    """A part of one line."""

    name: str
    gib: float
    because: str


class MemoryLine(Value):
    """One line of the memory budget."""

    name: str
    gib: float
    because: str
    parts: tuple[MemoryPart, ...] = Field((), description="What the line is made of, where that is known; they add up.")


class EngineFigures(Value):
    """What vLLM says of its KV cache when it starts, for one data-parallel rank on one GPU, by its own rules."""

    blocks: int = Field(ge=0, description="vLLM's `num_gpu_blocks`.")
    block_bytes: int = Field(gt=0, description="One block: a page of every layer of the largest group of layers.")
    blocks_per_request: int = Field(ge=0, description="Blocks that one request of `max-model-len` takes at most.")
    max_concurrency: float = Field(ge=0, description="Requests of `max-model-len` that fit at once.")
    kv_tokens: int = Field(ge=0, description="`max_concurrency` x `max-model-len`: vLLM's `kv_cache_size_tokens`.")


class MemoryBudget(Value):
    """Memory of one GPU (or of the host, for the CPU engine), in GiB. `lines` and `kv_gib` add up to `available_gib`."""

    capacity_gib: float
    utilization: float = Field(gt=0, le=1, description="vLLM's gpu-memory-utilization.")
    available_gib: float
    lines: tuple[MemoryLine, ...] = Field(description="Weights, reserve, graphs: everything but the KV cache.")
    kv_gib: float
    kv_bytes_per_token: float = Field(description="On one GPU, over all layers.")
    bytes_per_sequence: int = Field(
        description="On one GPU: windows, states and the half empty last page, whatever the length."
    )
    kv_tokens: int = Field(description="Tokens of context that fit one engine, all its data-parallel ranks together.")
    engine: EngineFigures | None = Field(
        None,
        description="What vLLM will say when it starts. It reckons each request at its worst, with whole steps of prompt "
        "under way, so it names fewer tokens than fit where layers keep windows or states.",
    )
    formula: str = Field(description="The sum, with its numbers, for a reader to check.")


class SchedulerLimits(Value):
    """vLLM's limits on one engine (max_num_seqs is per data-parallel rank)."""

    max_model_len: int = Field(gt=0)
    max_num_seqs: int = Field(gt=0)
    max_num_batched_tokens: int = Field(gt=0)
    concurrent_at_workload: int = Field(
        ge=0, description="Requests of the workload's mean length that fit one engine's KV cache at once."
    )


class RejectedLayout(Value):
    """A layout that was considered and why it is not used."""

    layout: Parallelism
    because: str


class StartPhase(Value):
    """One part of an engine's start."""

    name: str
    seconds: float | None = Field(description="Null where nothing was measured or published for it.")
    because: str


class Operations(Value):
    """What running the plan asks of its operator, per node."""

    download_gb: float = Field(description="Weights to fetch, once per node.")
    disk_gb: float = Field(description="Disk for the weights; two checkpoints while one replaces the other.")
    host_ram_gb: float | None = Field(description="Host memory that weights and offloaded KV cache take; null is none.")
    upgrade: Literal["in-place", "rolling"]
    upgrade_because: str
    start: tuple[StartPhase, ...]
    unknown: tuple[str, ...] = Field(description="What this plan does not know, in words.")


class Pool(Value):
    """Engines of one kind in a disaggregated layout."""

    role: Literal["prefill", "decode"]
    layout: Parallelism
    settings: tuple[Choice, ...] = Field(description="What is set beside the plan's own settings.")


class Alternative(Value):
    """A layout that is offered and not chosen."""

    name: str
    pools: tuple[Pool, ...]
    because: str
    caveats: tuple[Caveat, ...] = ()


class Plan(Value):
    """Model x node x workload, decided. Pure: the same facts give the same plan."""

    format: Literal["deploykit/plan/1"] = "deploykit/plan/1"
    model: str
    title: str
    node: str
    nodes: int = Field(ge=1, description="Machines of this kind.")
    gpus_per_node: int
    workload: str
    engine: str
    engine_version: str
    runtime: Literal["cuda", "cpu"]
    stand_in: str | None = Field(
        description="Name of the stand-in that is really served; null when the model itself is."
    )
    served_model_name: str
    checkpoint: PlannedCheckpoint
    draft: PlannedDraft | None = None
    parallelism: Parallelism
    memory: MemoryBudget
    limits: SchedulerLimits
    settings: tuple[Choice, ...] = Field(description="Engine settings in the order of the rendered file, one per name.")
    environment: tuple[Choice, ...] = ()
    overridden: tuple[Choice, ...] = Field((), description="Choices that a later source replaced, for `--explain`.")
    rejected: tuple[RejectedLayout, ...] = ()
    predicted: OperatingPoint | None = Field(None, description="Times and rates; null for a rehearsal.")
    alternatives: tuple[Alternative, ...] = ()
    operations: Operations | None = Field(None, description="Null for a rehearsal.")
    caveats: tuple[Caveat, ...] = ()

    def setting(self, name: str) -> JsonValue:
        """Return the value of an engine setting, or None if the plan leaves it at the engine's default."""
        return next((c.value for c in self.settings if c.setting == name), None)
