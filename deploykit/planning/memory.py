"""A layout on a machine -> what every GPU's memory goes to, line by line, and how much context the rest holds."""

from dataclasses import dataclass, field, replace

from deploykit.catalog.attention import KvDtype
from deploykit.catalog.engine import Paging
from deploykit.catalog.node import CpuEngine, Gpu
from deploykit.catalog.profile import Architecture
from deploykit.planning.caches import Storage, caches_of, is_packed
from deploykit.planning.pages import NULL_BLOCKS, Pool, pool_of
from deploykit.planning.plan import EngineFigures, MemoryBudget, MemoryLine, Parallelism, SchedulerLimits
from deploykit.planning.weights import Weights, gpu_share_gb, stage_share
from deploykit.planning.weights_line import weights_line
from deploykit.units import GB, GIB

UTILIZATION = 0.90
"""Share of a GPU's memory the engine takes; vLLM's own default is 0.92, the fit tables this was checked with use 0.90."""

RUNTIME_RESERVE_GIB = 3.5
"""CUDA context, activations and graphs of one GPU (`other_mem` in AIConfigurator's system files, ai-dynamo/aiconfigurator@095f58a)."""

COMMUNICATION_GB = 0.41
"""NCCL's buffers on one of eight GPUs (`nccl_mem`, same files); an engine of one GPU has none."""


@dataclass(frozen=True)
class Ground:
    """What is the same for every layout: the model's weights and shape, and one GPU's memory."""

    architecture: Architecture
    weights: Weights
    capability: float
    capacity_bytes: float
    utilization: float
    kv_dtype: KvDtype
    kv_cache_bytes: int | None = None
    kv_cache_dtype: str | None = None
    """vLLM's setting, for record formats that must be asked for by name."""
    paging: Paging = field(default_factory=Paging)
    page_tokens: int | None = None
    """vLLM's `block-size`, where it is set."""
    prefix_caching: bool = True
    draft_tokens: int = 0
    """Tokens that speculative decoding proposes each step; above zero the draft module runs."""
    draft_layers: int = 1


@dataclass(frozen=True)
class Need:
    """One layout's sum for one GPU, in GiB; `kv_gib` is below zero where the weights alone do not fit."""

    layout: Parallelism
    available_gib: float
    weights_gib: float
    reserve_gib: float
    communication_gib: float
    unused_gib: float
    bytes_per_token: float
    bytes_per_sequence: int
    pool: Pool | None = None
    batches_in_flight: int = 2

    @property
    def kv_gib(self) -> float:
        """What is left for the KV cache."""
        return self.available_gib - self.weights_gib - self.reserve_gib - self.communication_gib - self.unused_gib

    @property
    def short_gib(self) -> float:
        """What is missing before a single token fits."""
        return max(0.0, -self.kv_gib)

    @property
    def rank_kv_bytes(self) -> float:
        """Bytes of KV cache of one data-parallel rank, on one of its GPUs."""
        return max(0.0, self.kv_gib) * GIB

    @property
    def rank_tokens(self) -> int:
        """Tokens of context one data-parallel rank holds."""
        return int(self.rank_kv_bytes / self.bytes_per_token) if self.bytes_per_token else 0

    def running_bytes(self, step_tokens: int) -> float:
        """Return what running requests may take of a rank's KV cache: all but vLLM's own block and tokens under way."""
        if self.pool is None:
            return self.rank_kv_bytes
        aside = NULL_BLOCKS * self.pool.block_bytes + self.pool.in_flight_bytes(self._in_flight(step_tokens))
        return max(0.0, self.rank_kv_bytes - aside)

    def longest_context(self, step_tokens: int, *, most: int) -> int:
        """Return the longest `max-model-len`, up to `most`, with which vLLM starts."""
        if self.pool is None or not self.pool.block_bytes:
            return min(most, self.rank_tokens)
        return self.pool.longest(self.rank_kv_bytes, self._in_flight(step_tokens), most=most)

    def start_bytes(self, tokens: int, step_tokens: int) -> float:
        """Return the KV cache without which vLLM does not start with requests of so many tokens."""
        if self.pool is None:
            return tokens * self.bytes_per_token + self.bytes_per_sequence
        return self.pool.block_bytes * (self.pool.request_blocks(tokens, self._in_flight(step_tokens)) + NULL_BLOCKS)

    def engine_figures(self, limits: SchedulerLimits) -> EngineFigures | None:
        """Return what vLLM will say of its KV cache when it starts with these limits; each rank says the same."""
        if self.pool is None or not self.pool.block_bytes:
            return None
        in_flight = self._in_flight(limits.max_num_batched_tokens)
        concurrency = self.pool.concurrency(self.rank_kv_bytes, limits.max_model_len, in_flight)
        return EngineFigures(
            blocks=self.pool.blocks(self.rank_kv_bytes),
            block_bytes=self.pool.block_bytes,
            blocks_per_request=self.pool.request_blocks(limits.max_model_len, in_flight),
            max_concurrency=concurrency,
            kv_tokens=int(concurrency * limits.max_model_len),
        )

    def _in_flight(self, step_tokens: int) -> int:
        return self.batches_in_flight * step_tokens

    @property
    def crowding(self) -> float:
        """Share of the available memory that weights take."""
        return self.weights_gib / self.available_gib if self.available_gib > 0 else float("inf")


def gpu_need(ground: Ground, layout: Parallelism) -> Need:
    """Return a layout's sum for the GPU that holds most."""
    pool = kv_pool(ground, layout)
    need = Need(
        layout=layout,
        available_gib=ground.utilization * ground.capacity_bytes / GIB,
        weights_gib=gpu_share_gb(ground.weights, layout, ground.architecture) * GB / GIB,
        reserve_gib=RUNTIME_RESERVE_GIB,
        communication_gib=COMMUNICATION_GB * GB / GIB if layout.gpus_per_engine > 1 else 0.0,
        unused_gib=0.0,
        bytes_per_token=pool.bytes_per_token,
        bytes_per_sequence=round(pool.bytes_per_sequence),
        pool=pool,
        batches_in_flight=ground.paging.batches_in_flight + layout.pipeline - 1,
    )
    if ground.kv_cache_bytes is None or need.kv_gib * GIB <= ground.kv_cache_bytes:
        return need
    return replace(need, unused_gib=need.kv_gib - ground.kv_cache_bytes / GIB)


def kv_pool(ground: Ground, layout: Parallelism) -> Pool:
    """Return the pool of blocks that vLLM makes on the GPU with most layers."""
    architecture = ground.architecture
    drafts = architecture.draft_attention * ground.draft_layers if ground.draft_tokens else ()
    storage = Storage(
        dtype=ground.kv_dtype,
        capability=ground.capability,
        kv_cache_dtype=ground.kv_cache_dtype,
        paging=ground.paging,
        page_tokens=ground.page_tokens,
        prefix_caching=ground.prefix_caching,
        draft_tokens=ground.draft_tokens,
    )
    groups = architecture.attention + drafts
    caches = caches_of(groups, storage, tensor=layout.tensor, stage=stage_share(layout, architecture))
    return pool_of(caches, block_outermost=is_packed(groups))


def gpu_budget(need: Need, ground: Ground, *, capacity_basis: str) -> MemoryBudget:
    """Return the budget of one GPU, with its sum in words."""
    lines = [
        weights_line(ground.weights, need.layout, ground.architecture),
        MemoryLine(
            name="runtime reserve",
            gib=need.reserve_gib,
            because="CUDA context, activations and graphs (`other_mem` of AIConfigurator's system files)",
        ),
    ]
    if need.communication_gib:
        because = f"NCCL buffers, {COMMUNICATION_GB} GB (`nccl_mem` of AIConfigurator's system files)"
        lines.append(MemoryLine(name="communication", gib=need.communication_gib, because=because))
    if need.unused_gib:
        lines.append(
            MemoryLine(name="not used", gib=need.unused_gib, because="`kv-cache-memory-bytes` caps the KV cache")
        )
    capacity = ground.capacity_bytes / GIB
    start = f"{ground.utilization:g} x {capacity:.2f} GiB ({capacity_basis})"
    return MemoryBudget(
        capacity_gib=capacity,
        utilization=ground.utilization,
        available_gib=need.available_gib,
        lines=tuple(lines),
        kv_gib=need.kv_gib,
        kv_bytes_per_token=need.bytes_per_token,
        bytes_per_sequence=need.bytes_per_sequence,
        kv_tokens=need.rank_tokens * need.layout.data,
        formula=_formula(start, lines, need),
    )


def cpu_budget(
    ground: Ground, engine: CpuEngine, layout: Parallelism, *, ram_gb: float | None
) -> tuple[Need, MemoryBudget]:
    """Return the sum and budget of a host without GPUs: the KV cache is given, the rest is what the engine takes.

    The weights count whole, though ranks on several hosts share them: a stand-in's are megabytes.
    """
    kv_gib = ground.kv_cache_bytes / GIB if ground.kv_cache_bytes else engine.kv_cache_gib
    weights_gib = ground.weights.gpu_gb * GB / GIB
    taken = weights_gib + engine.reserve_gib + kv_gib
    capacity = taken if ram_gb is None else ram_gb * GB / GIB
    sized = gpu_need(replace(ground, capacity_bytes=taken * GIB, utilization=1.0, kv_cache_bytes=None), layout)
    need = replace(
        sized, reserve_gib=engine.reserve_gib, communication_gib=0.0
    )  # the cache is given, whatever else is needed
    lines = [
        MemoryLine(name="weights", gib=weights_gib, because=f"{ground.weights.gpu_gb:g} GB {ground.weights.basis}"),
        MemoryLine(name="processes", gib=engine.reserve_gib, because="the engine's own processes, measured"),
    ]
    budget = MemoryBudget(
        capacity_gib=capacity,
        utilization=min(1.0, taken / capacity),
        available_gib=taken,
        lines=tuple(lines),
        kv_gib=kv_gib,
        kv_bytes_per_token=need.bytes_per_token,
        bytes_per_sequence=need.bytes_per_sequence,
        kv_tokens=need.rank_tokens,
        formula=_formula(f"{taken:.2f} GiB of host memory in all", lines, need),
    )
    return need, budget


def with_engine_figures(budget: MemoryBudget, need: Need, limits: SchedulerLimits) -> MemoryBudget:
    """Return the budget with what vLLM will say of its KV cache when it starts with these limits."""
    return budget.model_copy(update={"engine": need.engine_figures(limits)})


def capacity_of(gpu: Gpu) -> tuple[float, str] | None:
    """Return one GPU's bytes and where they come from, or None where neither figure is known."""
    if gpu.reported_bytes is not None:
        return float(gpu.reported_bytes), "as the driver reports it"
    if gpu.memory_gb is not None:
        return gpu.memory_gb * GB, "from its datasheet"
    return None


def _formula(start: str, lines: list[MemoryLine], need: Need) -> str:
    minus = "".join(f" - {line.gib:.2f} {line.name}" for line in lines)
    text = f"{start}{minus} = {need.kv_gib:.2f} GiB KV cache"
    if need.bytes_per_token:
        ranks = f" x {need.layout.data} ranks" if need.layout.data > 1 else ""
        text += (
            f"; / {need.bytes_per_token:,.1f} bytes per token{ranks} = {need.rank_tokens * need.layout.data:,} tokens"
        )
    if need.bytes_per_sequence:
        text += f", less {need.bytes_per_sequence / 2**20:,.1f} MiB for every sequence that runs"
    return text
