"""What an air-gap bundle is: everything `up` needs of the network, in one folder, and what it says of itself."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.errors import UsageError

FACTS = "bundle.json"
SHIPPED = ("playbooks", "profiles", "loadtests")
"""The data folders of deploykit that travel along, so that a plan is made from the facts it was bundled with."""


class AirGapFacts(Value):
    """The first file of a bundle."""

    format: Literal["deploykit/air-gap/1"] = "deploykit/air-gap/1"
    deploykit: str = Field(description="The version that made it, and that can use it.")
    model: str
    node: str
    engine: str
    weights_bytes: int
    wheels: int = Field(description="Wheels in it; 0 where the engine is on the hosts already.")


def check(facts: AirGapFacts, version: str, folder: Path) -> None:
    """Raise UsageError if a bundle was made by another version: its playbooks need that version's program."""
    if facts.deploykit != version:
        raise UsageError(
            f"{folder} was made by deploykit {facts.deploykit}, this is {version}",
            hint=f"install deploykit {facts.deploykit} here, or bundle again with {version}",
        )
