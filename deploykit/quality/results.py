"""What was asked, what came back, and what it adds up to: the lines of `results.jsonl`, `spec.json` and `quality.json`."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.caveat import Caveat
from deploykit.measuring.measurements import Interval

Outcome = Literal["passed", "wrong", "failed"]


class Answer(Value):
    """One line of `results.jsonl`: what became of one task in one run. It holds no text of prompt or answer.

    `failed` is no answer at all (an HTTP error, a time limit), and is asked again when the command goes on.
    """

    endpoint: str
    task: str
    run: int = Field(ge=0)
    outcome: Outcome
    why: str = Field("", description="Why it is not `passed`.")
    at: dt.datetime
    seconds: float = Field(ge=0)
    input_tokens: int | None = Field(None, ge=0, description="From the server's usage, as the other counts.")
    cached_tokens: int | None = Field(None, ge=0)
    output_tokens: int | None = Field(None, ge=0)
    reasoning_tokens: int | None = Field(None, ge=0)
    finish_reason: str | None = None
    text: str | None = Field(None, description="The answer, only where it was asked to be kept.")


class Asked(Value):
    """An endpoint, and how it was asked. No key."""

    name: str = Field(description="`ours`, `api-1` and so on.")
    base_url: str = Field(description="Without /v1.")
    model: str
    max_tokens: int | None = Field(description="Null: the server's own limit.")
    temperature: float | None = Field(description="Null: the server's own.")


class QualitySpec(Value):
    """`spec.json`: what the results in a folder are of. A command that goes on must ask the same."""

    format: Literal["deploykit/quality-spec/1"] = "deploykit/quality-spec/1"
    tasks: str = Field(description="Name of the task file, or of the Inspect task.")
    tasks_sha256: str
    task_ids: tuple[str, ...]
    runs: int = Field(ge=1)
    endpoints: tuple[Asked, ...] = Field(min_length=1)


class Price(Value):
    """What tokens of an endpoint cost."""

    says: str = Field(description="Such as `offer NAME`, or `run NAME at rate NAME`.")
    usd: Decimal = Field(description="Of all answers, right and wrong.")
    usd_per_solved: Decimal | None = Field(description="Null when nothing was solved.")


class EndpointQuality(Value):
    """One endpoint over all tasks and runs."""

    endpoint: Asked
    tasks: int
    runs: int
    passed: int
    wrong: int
    failed: int = Field(description="No answer: neither right nor wrong, and in no rate.")
    cut_off: int = Field(description="Of the wrong: those that ran into the token limit.")
    pass_rate: float | None = Field(description="Passed over answered; null when nothing was answered.")
    interval: Interval | None = Field(description="Of the pass rate: Wilson's, wider where runs of a task agree.")
    output_tokens: int | None = Field(description="Of all answers; null if the server does not say.")
    reasoning_tokens: int | None
    output_tokens_per_answer: float | None
    output_tokens_per_solved: float | None = Field(description="Of all answers, over those that passed.")
    price: Price | None = Field(None, description="Null where no price was named, or usage is not told.")


class PairedDifference(Value):
    """Our pass rate less theirs, over the tasks that both answered."""

    ours: str
    theirs: str
    tasks: int
    difference: float
    interval: Interval


class Compression(Value):
    """Output tokens per solved task of one result over those of another, over the tasks that both answered."""

    one: str
    other: str
    tasks: int
    one_per_solved: float
    other_per_solved: float
    ratio: float = Field(description="Below 1 the first needs fewer tokens for a solved task.")
    interval: Interval | None = Field(description="Bootstrap over tasks; null if a resample may hold nothing solved.")


class QualityResult(Value):
    """`quality.json`: pass rates with intervals, tokens and dollars per solved task, differences."""

    format: Literal["deploykit/quality/1"] = "deploykit/quality/1"
    spec: QualitySpec
    complete: bool = Field(description="Whether every task was answered by every endpoint in every run.")
    endpoints: tuple[EndpointQuality, ...]
    differences: tuple[PairedDifference, ...] = ()
    sandbox: str | None = Field(None, description="How tests were kept apart; null where none were run.")
    caveats: tuple[Caveat, ...] = ()
