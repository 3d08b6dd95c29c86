"""What the operator wants beside the engines: a gateway or none, its port, name and key; what monitoring warns of."""

from decimal import Decimal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import Slo


class GatewayOptions(Value):
    """The gateway's options."""

    enabled: bool = Field(description="Put a gateway in front of the engines; it lets only /v1 and /health through.")
    port: int = Field(8000, ge=1, le=65535, description="The one port clients use.")
    domain: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$",
        description="Public name of the gateway; with one it gets a certificate and speaks TLS.",
    )
    key_required: bool = Field(description="Ask for a bearer key; the key itself never enters a bundle.")
    monitoring: bool = Field(True, description="Install Prometheus beside the gateway; never in a rehearsal.")


class MonitoringOptions(Value):
    """What the alerts hold the deployment against, and who hears of them. What is null or empty is not watched."""

    slo: Slo | None = Field(None, description="The workload's service level objective.")
    usd_per_hour: Decimal | None = Field(None, ge=0, description="What an hour of all nodes costs.")
    usd_per_m_target: Decimal | None = Field(None, gt=0, description="Dollars per million tokens that are too many.")
    alertmanagers: tuple[str, ...] = Field((), description="`host:port` of each Alertmanager.")
