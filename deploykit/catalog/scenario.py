"""Something that would make tokens cheaper, by how much somebody measured, and where that holds."""

from typing import Literal

from pydantic import Field, model_validator

from deploykit.catalog.fact import Facts
from deploykit.catalog.ranges import Range, within

Phase = Literal["prefill", "decode", "output tokens"]


class Scenario(Facts):
    """One multiplier. `name` is its file's stem."""

    name: str
    title: str
    kind: Literal["quantisation", "speculative decoding", "reasoning compression", "serving", "hardware"]
    of: Literal["tokens per hour", "tokens per dollar", "output tokens per task"] = Field(
        description="What the factor multiplies; output tokens per task are fewer, so it is below 1."
    )
    factor: Range | None = Field(description="Null is unknown: the scenario is refused, unless you bring a factor.")
    because: str | None = Field(None, description="Why the factor is unknown.")
    phases: tuple[Phase, ...] = Field(min_length=1, description="What it changes.")
    models: tuple[str, ...] = Field((), description="Profiles it was measured with; empty is any.")
    nodes: tuple[str, ...] = Field((), description="Machines it starts from; empty is any.")
    excludes: tuple[str, ...] = Field((), description="Scenarios it cannot be combined with.")
    measured_with: tuple[str, ...] = Field(
        (),
        description="Scenarios of the same phase that it was measured together with, so that both may be multiplied.",
    )

    @model_validator(mode="after")
    def _known_or_explained(self) -> "Scenario":
        within(self.factor, 0, above=True)
        if (self.factor is None) == (self.because is None):
            msg = "a factor, or the reason why there is none: one of them"
            raise ValueError(msg)
        return self
