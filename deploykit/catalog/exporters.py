"""Exporters that stand beside the engine: what they are installed from, and what their series are called."""

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.fact import Facts


class NodeExporter(Facts):
    """CPU, memory and disks of a machine."""

    package: str
    disk_free: str = Field(description="Gauge, bytes that users can still write, per mount point.")
    disk_size: str = Field(description="Gauge, bytes, per mount point.")
    cpu_seconds: str = Field(description="Counter, per CPU and mode.")
    memory_free: str = Field(description="Gauge, bytes.")
    memory_size: str = Field(description="Gauge, bytes.")


class ProbeExporter(Facts):
    """Asks the gateway's TLS port as a client would."""

    package: str
    success: str = Field(description="Gauge, 1 or 0.")
    certificate_expiry: str = Field(description="Gauge, Unix time of the first certificate of the chain to expire.")


class GatewayMetrics(Facts):
    """What the gateway says of itself."""

    responses: str = Field(description="Counter, per proxy and `code` (`2xx`, `5xx`).")
    engines_up: str = Field(description="Gauge, engines that pass their health check, per proxy.")
    queue: str = Field(description="Gauge, requests that wait for an engine, per proxy.")
    sessions: str = Field(description="Gauge, open client sessions, per proxy.")


class GpuExporter(Facts):
    """NVIDIA's DCGM exporter; each series has a label `gpu`."""

    package: str
    utilization: str = Field(description="Gauge, percent.")
    memory_used: str = Field(description="Gauge, MiB.")
    temperature: str = Field(description="Gauge, degrees Celsius.")
    power: str = Field(description="Gauge, watts.")
    energy: str = Field(description="Counter, millijoules since the driver was loaded.")
    xid: str = Field(description="Gauge, code of the last Xid error; 0 is none.")
    ecc_uncorrected: str = Field(description="Counter, uncorrectable ECC errors since the driver was loaded.")
    row_remap_failed: str = Field(description="Gauge, 1 where a faulty row could not be remapped.")


class XidCodes(Facts):
    """Which of the driver's error codes accuse the hardware."""

    hardware: tuple[int, ...] = Field(min_length=1)


class Exporters(Value):
    """All of them."""

    node: NodeExporter
    probe: ProbeExporter
    gateway: GatewayMetrics
    gpu: GpuExporter
    xid: XidCodes
