"""Stages of load: how requests come, and how many there can be: users, a rate (constant, or a straight line), or a trace."""

from pathlib import PurePath
from typing import Annotated, Literal, assert_never

from pydantic import Field, model_validator

from deploykit.base import Value

MOST_REQUESTS = 10_000_000
"""Of one stage: a request's number is its stage's index times this, plus its own."""


class ClosedLoop(Value):
    """A number of users, each sending its next request after the last answer (and a think time)."""

    kind: Literal["closed"] = "closed"
    users: int = Field(gt=0)
    to_users: int | None = Field(
        None, gt=0, description="A ramp: the users at the stage's end; they come, or leave, evenly."
    )
    think_time_s: float = Field(0, ge=0, allow_inf_nan=False)
    duration_s: float = Field(gt=0, allow_inf_nan=False)
    max_requests: int | None = Field(
        None, gt=0, le=MOST_REQUESTS, description="Ends the stage early when so many requests were sent."
    )


class OpenLoop(Value):
    """Requests that arrive at a rate, whether or not earlier ones were answered."""

    kind: Literal["open"] = "open"
    requests_per_s: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="The mean rate; with sessions that of all turns, once as many sessions end as begin.",
    )
    to_requests_per_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="A ramp: the rate at the stage's end, on a straight line."
    )
    arrivals: Literal["poisson", "constant", "gamma"] = Field(
        "poisson", description="`poisson`: independent callers; `constant`: a metronome; `gamma`: bursts, see `cv`."
    )
    cv: float | None = Field(
        None,
        ge=0.01,
        le=20,
        description="Of gamma: the gaps' coefficient of variation. 1 is Poisson, above it come bursts, below it order.",
    )
    duration_s: float = Field(gt=0, allow_inf_nan=False)
    max_requests: int | None = Field(None, gt=0, le=MOST_REQUESTS)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "OpenLoop":
        if self.arrivals == "gamma" and self.cv is None:
            msg = "gamma arrivals need `cv`, such as 2"
            raise ValueError(msg)
        if self.arrivals != "gamma" and self.cv is not None:
            msg = f"`cv` belongs to gamma arrivals, these are {self.arrivals}"
            raise ValueError(msg)
        expected = (self.requests_per_s + end_rate(self)) / 2 * self.duration_s
        if self.max_requests is None and expected > MOST_REQUESTS * 0.9:
            msg = f"{expected:,.0f} requests in one stage are more than it can number ({MOST_REQUESTS:,}): set `max_requests`"
            raise ValueError(msg)
        return self


class TraceFacts(Value):
    """What was found in a trace, and of it is replayed: written when its file was read."""

    name: str = Field(description="Of the trace's file.")
    format: Literal["mooncake", "azure", "burstgpt"]
    sha256: str = Field(description="Of the trace's file.")
    records: int = Field(gt=0, description="Requests in the file.")
    requests: int = Field(gt=0, description="Of them, those that are replayed.")
    too_long: int = Field(0, ge=0, description="Left out: longer than `max_context_tokens`.")
    unanswered: int = Field(0, ge=0, description="Left out: the trace has no answer of them, or no prompt.")
    beyond: int = Field(0, ge=0, description="Left out: after `duration_s`, or more than `max_requests`.")
    schedule_sha256: str = Field(description="Of the requests as they are replayed, in the run's folder.")


class TraceReplay(Value):
    """Requests that come when, and are as long as, those of a recorded trace; prompts are made up.

    Where the trace says which blocks of a prompt are alike, they are: the same block is the same text in every request.
    """

    kind: Literal["trace"] = "trace"
    file: str = Field(min_length=1, description="The trace; a relative path begins at the workload's file.")
    format: Literal["mooncake", "azure", "burstgpt"] | None = Field(None, description="Null: told by the first line.")
    speed: float = Field(1, gt=0, le=1e6, description="Of time: 2 plays the trace in half of it.")
    duration_s: float = Field(gt=0, allow_inf_nan=False, description="The most it lasts, after scaling.")
    max_requests: int | None = Field(None, gt=0, le=MOST_REQUESTS)
    max_context_tokens: int | None = Field(
        None, gt=0, description="Requests whose prompt and answer are longer are left out, and counted."
    )
    block_tokens: int = Field(512, gt=0, description="Tokens of each of a prompt's blocks, where the trace has them.")
    facts: TraceFacts | None = Field(None, description="Written by the load test; null in a workload's file.")


Stage = Annotated[ClosedLoop | OpenLoop | TraceReplay, Field(discriminator="kind")]


def end_rate(stage: OpenLoop) -> float:
    """Return the requests per second at the stage's end."""
    return stage.requests_per_s if stage.to_requests_per_s is None else stage.to_requests_per_s


def most_users(stage: ClosedLoop) -> int:
    """Return the most users a closed loop has at once."""
    return max(stage.users, stage.to_users or 0)


def highest_rate(stage: OpenLoop) -> float:
    """Return the most requests per second an open loop offers."""
    return max(stage.requests_per_s, end_rate(stage))


def describe(stage: Stage) -> str:
    """Return a stage in a few words, such as `8 users, closed loop`."""
    match stage:
        case ClosedLoop():
            count = f"{stage.users} to {stage.to_users}" if stage.to_users else f"{stage.users}"
            users = f"{count} user{'s' if most_users(stage) > 1 else ''}, closed loop"
            return f"{users}, {stage.think_time_s:g} s think time" if stage.think_time_s else users
        case OpenLoop():
            to = f" to {stage.to_requests_per_s:g}" if stage.to_requests_per_s is not None else ""
            arrivals = f"gamma (cv {stage.cv:g})" if stage.cv is not None else stage.arrivals
            return f"{stage.requests_per_s:g}{to} requests/s, {arrivals}, open loop"
        case TraceReplay():
            count = f"{stage.facts.requests:,} requests" if stage.facts else "requests"
            name = stage.facts.name if stage.facts else PurePath(stage.file).name
            return f"{count} of {name} at {stage.speed:g}x speed, open loop"
        case _:
            assert_never(stage)
