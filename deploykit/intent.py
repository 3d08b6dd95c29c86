"""What the operator wants: the contents of `deploykit.yaml`, and of the environment and command line that override it."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from deploykit.base import Value
from deploykit.setting_value import SettingValue

_HOST_PORT = Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$")]

MAX_NODES = 64
"""Machines of one deployment: what a plan is tried for, far beyond what one engine or one gateway serves well."""


class HostIntent(Value):
    """A machine to deploy to, over SSH."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Short name, used in progress and reports.")
    address: str = Field(description="Host name or IP address that SSH connects to.")
    user: str | None = Field(None, description="Login user; your SSH configuration decides if it is not given.")
    port: int = Field(22, gt=0, lt=65536)
    key_file: str | None = Field(
        None, description="Private key; your SSH agent or configuration decides if it is not given."
    )


class SloIntent(Value):
    """Changes to the workload's service level objective; what is not given stays as the workload has it."""

    ttft_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Seconds from the intended send to the first token."
    )
    tpot_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Mean seconds per output token after the first."
    )
    e2e_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Seconds from the intended send to the last token."
    )
    share: float | None = Field(None, gt=0, le=1, description="Share of requests that must meet all limits.")


class GatewayIntent(Value):
    """The reverse proxy in front of the engines (real nodes only; a rehearsal has none)."""

    enabled: bool = True
    public: bool = Field(
        False, description="Serve callers without a key. Without this, `up` wants DEPLOYKIT_API_KEY on real nodes."
    )
    port: int = Field(8000, gt=0, lt=65536)
    domain: str | None = Field(None, description="Public name to get a certificate for; null serves plain HTTP.")


class MonitoringIntent(Value):
    """Prometheus and its exporters on the nodes (real nodes only; a rehearsal has none), and where its news go."""

    enabled: bool = True
    usd_per_m_target: Decimal | None = Field(
        None,
        gt=0,
        description="Warn when a day's tokens cost more than so many dollars per million; null warns of no cost.",
    )
    alertmanagers: tuple[_HOST_PORT, ...] = Field(
        (), description="`host:port` of your Alertmanagers; without one, alerts are on Prometheus' own page."
    )
    grafana_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="Your Grafana; `up` puts the dashboard there, with the token in DEPLOYKIT_GRAFANA_TOKEN.",
    )
    prometheus_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="The first node's Prometheus as that Grafana reaches it; with it, `up` makes the data source too.",
    )


class CostIntent(Value):
    """What the hardware's hour costs, and which API offers to compare with."""

    rates: tuple[str, ...] = Field((), description="Names of the node's rates; empty uses all current ones.")
    usd_per_node_hour: Decimal | None = Field(None, gt=0, description="Your own rate, instead of the profile's.")
    offers: tuple[str, ...] = Field(
        (), description="Names of price profiles; empty uses those of the model, and comparable ones."
    )


class Intent(Value):
    """One deployment, wanted. Every key is optional in the file: what is not given comes from the next layer."""

    name: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.-]*$",
        description="Name of the deployment; the model's name if it is not given.",
    )
    model: str = Field(description="A model of `deploykit models`.")
    node: str = Field(description="A machine of `deploykit nodes`; `local` is a rehearsal on this machine.")
    hosts: tuple[HostIntent, ...] = Field(
        (),
        max_length=MAX_NODES,
        description=f"The machines, all of the kind `node`, up to {MAX_NODES}. Empty for a rehearsal or a dry run.",
    )
    nodes: int | None = Field(
        None,
        ge=1,
        le=MAX_NODES,
        description=f"How many machines a dry run plans for, up to {MAX_NODES}; with hosts it is their number.",
    )
    workload: str | None = Field(None, description="A traffic shape of `deploykit workloads`.")
    engine: str = Field(description="A vLLM release of `deploykit engines`.")
    checkpoint: str | None = Field(
        None, description="One of the model's checkpoints; the planner chooses if it is not given."
    )
    speculation: str = Field(
        "off", description="Speculative decoding: `off`, `auto`, or a method of the model (`deploykit models show`)."
    )
    slo: SloIntent = SloIntent()
    settings: dict[str, SettingValue] = Field(
        default_factory=dict, description="vLLM settings that replace the planner's."
    )
    port: int = Field(8001, gt=0, lt=65536, description="First engine port; replicas on one node take the next ones.")
    interface: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$",
        description="Ethernet interface by which the nodes of one engine find each other, the same on every node; "
        "null leaves the choice to vLLM and NCCL.",
    )
    gateway: GatewayIntent = GatewayIntent()
    monitoring: MonitoringIntent = MonitoringIntent()
    cost: CostIntent = CostIntent()
