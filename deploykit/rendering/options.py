"""What the operator wants in front of the engines: a gateway or none, its port, certificate, callers and limits."""

from typing import Literal

from pydantic import Field, model_validator

from deploykit.base import Value

DEFAULT_CALLER = "default"
"""The caller whose key is DEPLOYKIT_API_KEY."""


class CallerLimits(Value):
    """One name that may call, and how much. Its keys never enter a bundle."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="What logs and limits know the caller by.")
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
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$",
        description="Public name of the gateway, as its certificate has it.",
    )
    key_required: bool = Field(description="Ask for a bearer key; the key itself never enters a bundle.")
    callers: tuple[CallerLimits, ...] = Field((), description="Who has limits; a caller without an entry has none.")
    session_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$",
        description="Requests that agree in this header go to the same engine; null is the engine with fewest requests.",
    )
    probe_interval_s: int = Field(20, ge=1, description="How often each engine is asked for a token.")
    monitoring: bool = Field(True, description="Install Prometheus beside the gateway; never in a rehearsal.")

    @model_validator(mode="after")
    def _names_stand_once(self) -> "GatewayOptions":
        names = [caller.name for caller in self.callers]
        if len(set(names)) != len(names):
            raise ValueError(f"a caller is there twice: {', '.join(sorted(names))}")
        return self
