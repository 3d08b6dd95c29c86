"""A machine: its GPUs, host and hourly rates."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from deploykit.base import Value
from deploykit.catalog import patterns
from deploykit.catalog.fact import Facts


class DenseTflops(Value):
    """Peak dense throughput in TFLOP/s per number format; null is unknown."""

    bf16: float | None
    fp8: float | None
    fp4: float | None


class Gpu(Facts):
    """One GPU. Any figure may be unknown; planning says which one it misses."""

    name: str = Field(description="As nvidia-smi prints it, without the vendor.")
    memory_gb: float | None = Field(description="Marketed memory in GB.")
    reported_bytes: int | None = Field(description="Memory the driver reports.")
    bandwidth_tb_s: float | None = Field(description="Memory bandwidth in TB/s.")
    tflops: DenseTflops
    capability: float | None = Field(description="CUDA compute capability, 9.0 for SM90.")
    nvlink_gb_s: float | None = Field(description="NVLink bandwidth per GPU, both directions, in GB/s.")
    tdp_w: float | None
    all_in_kw: float | None = Field(description="Power per GPU with its share of host, network and cooling, in kW.")


class Host(Facts):
    """The machine around the GPUs."""

    machine: Literal["x86_64", "aarch64"] = Field("x86_64", description="The processors' kind, as `uname -m` says it.")
    cpu_cores: int | None
    ram_gb: float | None
    disk_gb: float | None
    power_kw: float | None = Field(None, description="Maximum power of the whole node.")


class NodeRate(Facts):
    """What an hour costs. `stand_in` is a round figure that only rehearsals use."""

    name: str = Field(pattern=patterns.NAME, description="Short name for `--rate`.")
    provider: str
    kind: Literal["on-demand", "marketplace", "reserved", "spot", "owned", "stand-in"]
    usd_per_gpu_hour: Decimal | None = Field(None, ge=0)
    usd_per_node_hour: Decimal | None = Field(None, ge=0, description="For a node whose price is not per GPU.")

    @model_validator(mode="after")
    def _one_price(self) -> "NodeRate":
        if self.usd_per_gpu_hour is not None and self.usd_per_node_hour is not None:
            msg = "a rate is per GPU or per node, not both"
            raise ValueError(msg)
        return self


class Fabric(Facts):
    """What connects the GPUs, for the checks before a deployment. Null is unknown, and is not checked."""

    fabric_manager: bool | None = Field(description="Whether the node runs Fabric Manager, for NVSwitches of its own.")
    subnet_manager: bool | None = Field(description="Whether its NVSwitches need the NVLink subnet manager.")
    imex: bool | None = Field(description="Whether nodes share GPU memory over NVLink, through IMEX.")
    nvlinks_per_gpu: int | None = Field(ge=0, description="NVLinks of each GPU; 0 is none.")
    all_reduce_gb_s: float | None = Field(
        gt=0, description="Floor of the bus bandwidth of an all-reduce over the node's GPUs, in GB/s."
    )


class Purchase(Facts):
    """What buying the node costs."""

    item: str
    covers: Literal["node", "gpus"] = Field("node", description="The whole node, or its GPUs alone.")
    usd_low: Decimal
    usd_high: Decimal


class CpuEngine(Value):
    """How the engine runs on a node without GPUs."""

    kv_cache_gib: float = Field(gt=0)
    reserve_gib: float = Field(gt=0, description="Memory of the engine's own processes, measured.")


class Node(Value):
    """A machine. `name` is its file's stem."""

    name: str
    title: str
    status: Literal["available", "preliminary", "this-machine"]
    gpu: Gpu | None = Field(description="Null for a machine without GPUs.")
    gpu_count: int = Field(ge=0)
    scale_up_domain: int | None = Field(
        None, description="GPUs that share one NVLink domain across nodes; null is this node only."
    )
    host: Host
    cpu_engine: CpuEngine | None = None
    fabric: Fabric | None = None
    min_driver: str | None = Field(None, description="The oldest driver that knows the GPUs, or its beginning.")
    rates: tuple[NodeRate, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    note: str | None = None

    def usd_per_hour(self, rate: NodeRate) -> Decimal | None:
        """Return what one hour of this node costs at a rate, or None where the rate is unknown."""
        if rate.usd_per_node_hour is not None:
            return rate.usd_per_node_hour
        return None if rate.usd_per_gpu_hour is None else rate.usd_per_gpu_hour * self.gpu_count

    def current_rates(self, today: dt.date) -> tuple[NodeRate, ...]:
        """Return the rates read no later than `today`, newest first."""
        return tuple(sorted((r for r in self.rates if r.as_of <= today), key=lambda r: r.as_of, reverse=True))
