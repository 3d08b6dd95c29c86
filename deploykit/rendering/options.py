"""What the operator wants in front of the engines: a gateway or none, its port, name and key."""

from pydantic import Field

from deploykit.base import Value
from deploykit.intent import DOMAIN


class GatewayOptions(Value):
    """The gateway's options."""

    enabled: bool = Field(description="Put a gateway in front of the engines; it lets only /v1 and /health through.")
    port: int = Field(8000, ge=1, le=65535, description="The one port clients use.")
    domain: str | None = Field(
        None,
        pattern=DOMAIN,
        description="Public name of the gateway; with one it gets a certificate and speaks TLS.",
    )
    key_required: bool = Field(description="Ask for a bearer key; the key itself never enters a bundle.")
    monitoring: bool = Field(True, description="Install Prometheus beside the gateway; never in a rehearsal.")
