"""Traffic: how long prompts and answers are, how they share prefixes, and how they arrive."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from deploykit.base import Value
from deploykit.catalog.fact import Facts


class Fixed(Value):
    """Always the same length."""

    kind: Literal["fixed"] = "fixed"
    tokens: int = Field(gt=0)


class Uniform(Value):
    """Each length in a range equally likely."""

    kind: Literal["uniform"] = "uniform"
    low: int = Field(gt=0)
    high: int = Field(gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> "Uniform":
        if self.low > self.high:
            msg = f"low ({self.low}) is above high ({self.high})"
            raise ValueError(msg)
        return self


class LogNormal(Value):
    """A long tail: median and shape, cut at a minimum and maximum."""

    kind: Literal["lognormal"] = "lognormal"
    median: int = Field(gt=0)
    sigma: float = Field(gt=0, le=3)
    low: int = Field(gt=0)
    high: int = Field(gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> "LogNormal":
        if not self.low <= self.median <= self.high:
            msg = f"low ({self.low}), median ({self.median}) and high ({self.high}) are not in order"
            raise ValueError(msg)
        return self


Length = Annotated[Fixed | Uniform | LogNormal, Field(discriminator="kind")]


class SharedPrefix(Value):
    """A long beginning that several requests have in common, such as a repository or a system prompt."""

    tokens: int = Field(gt=0)
    distinct: int = Field(gt=0, description="How many different prefixes there are.")


class ClosedLoop(Value):
    """A fixed number of users, each sending its next request after the last answer (and a think time)."""

    kind: Literal["closed"] = "closed"
    users: int = Field(gt=0)
    think_time_s: float = Field(0, ge=0)
    duration_s: float = Field(gt=0)
    max_requests: int | None = Field(None, gt=0, description="Ends the stage early when so many requests were sent.")


class OpenLoop(Value):
    """Requests that arrive at a rate, whether or not earlier ones were answered."""

    kind: Literal["open"] = "open"
    requests_per_s: float = Field(gt=0)
    arrivals: Literal["poisson", "constant"] = "poisson"
    duration_s: float = Field(gt=0)
    max_requests: int | None = Field(None, gt=0)


Stage = Annotated[ClosedLoop | OpenLoop, Field(discriminator="kind")]


class Slo(Value):
    """What a request must meet to count as good. Percentile verdicts need `share` of the requests to be good."""

    ttft_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Time from the intended send to the first token."
    )
    tpot_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Mean time per output token after the first."
    )
    e2e_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Time from the intended send to the last token."
    )
    share: float = Field(0.99, gt=0, le=1, description="Share of requests that must be good.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Slo":
        if self.ttft_s is not None and self.e2e_s is not None and self.e2e_s < self.ttft_s:
            msg = f"the last token may come {self.e2e_s:g} s after the send, the first one {self.ttft_s:g} s"
            raise ValueError(msg)
        return self


class Workload(Facts):
    """A traffic shape. `name` is its file's stem."""

    name: str
    title: str
    prompt_tokens: Length = Field(description="Tokens of the prompt beyond the shared prefix.")
    output_tokens: Length
    shared_prefix: SharedPrefix | None = None
    warmup_s: float = Field(ge=0, description="Start of the first stage that is not measured.")
    stages: tuple[Stage, ...] = Field(min_length=1)
    slo: Slo
    ignore_eos: bool = Field(
        description="Forces answers to the drawn length; random weights need it, real ones distort."
    )
    temperature: float = Field(ge=0)
    seed: int = 0
    rehearsal_only: bool = Field(
        False, description="Made for a tiny stand-in: on a real node it would measure nothing."
    )


def mean_tokens(length: Length) -> float:
    """Return the mean length in tokens; the tail beyond a log-normal's cut is ignored."""
    match length:
        case Fixed():
            return float(length.tokens)
        case Uniform():
            return (length.low + length.high) / 2
        case LogNormal():
            return min(max(length.median * math.exp(length.sigma**2 / 2), length.low), length.high)


def max_tokens(length: Length) -> int:
    """Return the longest length that can be drawn."""
    return length.tokens if isinstance(length, Fixed) else length.high
