"""A throughput that somebody measured and published, for machines and models that no prediction covers."""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.catalog.fact import Facts


class PublishedThroughput(Facts):
    """One published point. `name` is its file's stem. How far it may be off is not known."""

    name: str
    title: str
    model: str = Field(description="The profile it is of.")
    nodes: tuple[str, ...] = Field(min_length=1, description="Machines of this GPU.")
    gpus: int = Field(gt=0, description="GPUs that served together.")
    tokens_per_s: Decimal = Field(gt=0, description="Of all of them.")
    counts: Literal["input and output", "output"] = Field(description="Which tokens it counts.")
    prompt_tokens: int | None = Field(description="Of a request; null is not published.")
    cached_share: Decimal | None = Field(ge=0, le=1, description="Of the prompt's tokens, found in the prefix cache.")
    output_tokens: int | None = Field(description="Of a request; null is not published.")
    concurrency: int | None
    engine: str
