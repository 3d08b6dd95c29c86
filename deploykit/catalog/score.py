"""A benchmark score that somebody published of a model: shown as published, never mixed with what was measured here."""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.fact import Facts


class Score(Facts):
    """One published number. `as_of` is the day of the source, or the day it was read where that is not known."""

    benchmark: str = Field(description="As its publisher calls it.")
    score: Decimal = Field(ge=0, description="In the benchmark's own unit, mostly percent solved.")
    kind: Literal["vendor", "another vendor", "independent harness"] = Field(
        description="Whether the model's maker published it, the maker of another model, or somebody who runs the benchmark."
    )
    variant: str | None = Field(None, description="Which release of the model; null is not told.")
    harness: str | None = Field(None, description="What ran it; null is not told.")
    usd_per_task: Decimal | None = Field(None, ge=0, description="As published, at the prices of that day.")


class PublishedScores(Value):
    """The scores of one model. `name` is its file's stem, and the model's profile."""

    name: str
    scores: tuple[Score, ...] = Field(min_length=1)
