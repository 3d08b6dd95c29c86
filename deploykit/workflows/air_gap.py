"""What an air-gap bundle is: everything `up` needs of the network, in one folder, and what it says of itself."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.errors import UsageError
from deploykit.planning.plan import Plan

FACTS = "bundle.json"
MACHINE = "x86_64"
"""The kind of hosts that wheels are collected for."""

WHEELS_LOCK = "requirements.lock"
"""Which wheels there are, with their hashes; it lies beside them."""
SHIPPED = ("playbooks", "profiles", "loadtests")
"""The data folders of deploykit that travel along, so that a plan is made from the facts it was bundled with."""


class AirGapFacts(Value):
    """The first file of a bundle."""

    format: Literal["deploykit/air-gap/1"] = "deploykit/air-gap/1"
    deploykit: str = Field(description="The version that made it, and that can use it.")
    model: str
    node: str
    engine: str
    runtime: Literal["cpu", "cuda"] = Field(description="The engine's build; a rehearsal's is for CPUs.")
    weights_bytes: int = Field(description="0 for a rehearsal: its stand-in is made on the spot.")
    wheels: int = Field(description="Wheels in it; 0 where the engine is on the hosts already.")
    python: str | None = Field(description="The Python in it; null where hosts must have their own.")


def check(facts: AirGapFacts, version: str, folder: Path) -> None:
    """Raise UsageError if a bundle was made by another version: its playbooks need that version's program."""
    if facts.deploykit != version:
        raise UsageError(
            f"{folder} was made by deploykit {facts.deploykit}, this is {version}",
            hint=f"install deploykit {facts.deploykit} here, or bundle again with {version}",
        )


def check_plan(facts: AirGapFacts, plan: Plan, folder: Path) -> None:
    """Raise UsageError if a bundle has the engine's other build than a plan installs."""
    if facts.wheels and facts.runtime != plan.runtime:
        made, wanted = (
            "a rehearsal on CPUs" if runtime == "cpu" else "nodes with GPUs"
            for runtime in (facts.runtime, plan.runtime)
        )
        raise UsageError(
            f"{folder} was made for {made}, this is for {wanted}",
            hint="with `--node` a bundle is made, and used, for real nodes; without it for a rehearsal",
        )


def bundle_knobs(facts: AirGapFacts, folder: Path) -> dict[str, str]:
    """Return the variables by which the roles install from a bundle and ask no network."""
    found = {"weights_mirror": str(folder / "weights")} if facts.weights_bytes else {}
    if facts.wheels:
        found["runtime_wheels"] = str(folder / "wheels")
    if facts.python:
        found["runtime_python_archive"] = str(folder / "python" / facts.python)
    return found
