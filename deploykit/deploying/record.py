"""What deploykit remembers of a deployment between commands."""

from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.intent import CallerIntent


class DeploymentRecord(Value):
    """Written after each `up`; `status`, `logs`, `down` and `loadtest` start from it. Holds no secret."""

    format: Literal["deploykit/record/1"] = "deploykit/record/1"
    name: str
    model: str
    node: str
    rehearsal: bool
    release: str = Field(description="The bundle's digest.")
    run: str = Field(description="The run folder of the last `up`.")
    inventory: str = Field(description="Path of the inventory, kept beside this record.")
    variables: dict[str, object] = Field(description="What the playbooks were given, secrets excepted.")
    callers: tuple[CallerIntent, ...] = Field(
        (), description="The gateway's callers: where their keys are, never the keys."
    )
    authority: str | None = Field(
        None, description="The root that the gateway's certificate leads to, kept beside this record."
    )
    measured: bool = Field(False, description="Whether the run has a report.")
