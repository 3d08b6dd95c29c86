"""What the operator wants beside the engines: the gateway with its callers, and what monitoring warns of."""

from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from deploykit.base import Value
from deploykit.catalog import patterns
from deploykit.catalog.workload import Slo

DEFAULT_CALLER = "default"
"""The caller whose key is DEPLOYKIT_API_KEY."""


class CallerLimits(Value):
    """One name that may call, and how much. Its keys never enter a bundle."""

    name: str = Field(pattern=patterns.CALLER_NAME, description="What logs and limits know the caller by.")
    requests_per_minute: int | None = Field(None, ge=1, le=1_000_000, description="Null is no limit.")
    concurrent: int | None = Field(None, ge=1, le=100_000, description="Requests at a time; null is no limit.")


class GatewayOptions(Value):
    """The gateway's options."""

    enabled: bool = Field(
        description="Put a gateway in front of the engines; it lets only the release's routes through."
    )
    port: int = Field(8000, ge=1, le=65535, description="The one port clients use.")
    tls: Literal["off", "internal", "own"] = Field(
        "off", description="Plain HTTP, a certificate of the deployment's own authority, or the operator's."
    )
    domain: str | None = Field(
        None,
        pattern=patterns.DOMAIN,
        description="Public name of the gateway, as its certificate has it.",
    )
    key_required: bool = Field(description="Ask for a bearer key; the key itself never enters a bundle.")
    callers: tuple[CallerLimits, ...] = Field((), description="Who has limits; a caller without an entry has none.")
    session_header: str | None = Field(
        None,
        pattern=patterns.HEADER,
        description="Requests that agree in this header go to the same engine; null is the engine with fewest requests.",
    )
    router: bool = Field(False, description="Let the release's router choose the engine, where there are several.")
    probe_interval_s: int = Field(20, ge=1, description="How often each engine is asked for a token.")
    monitoring: bool = Field(True, description="Install Prometheus beside the gateway; never in a rehearsal.")

    @model_validator(mode="after")
    def _names_stand_once(self) -> "GatewayOptions":
        names = [caller.name for caller in self.callers]
        if len(set(names)) != len(names):
            raise ValueError(f"a caller is there twice: {', '.join(sorted(names))}")
        return self


class ContainerOptions(Value):
    """The engine in a container instead of an environment of its own."""

    image: str = Field(description="What podman runs: `NAME@sha256:...`, or by tag.")

    @property
    def pinned(self) -> bool:
        """Return whether the image is named by its digest, and so is the same one everywhere and always."""
        return "@sha256:" in self.image


class MonitoringOptions(Value):
    """What the alerts hold the deployment against, and who hears of them. What is null or empty is not watched."""

    slo: Slo | None = Field(None, description="The workload's service level objective.")
    usd_per_hour: Decimal | None = Field(None, ge=0, description="What an hour of all nodes costs.")
    usd_per_m_target: Decimal | None = Field(None, gt=0, description="Dollars per million tokens that are too many.")
    alertmanagers: tuple[str, ...] = Field((), description="`host:port` of each Alertmanager.")
    exporter: str | None = Field(None, description="`host:port` of the live meter, as the first node reaches it.")
