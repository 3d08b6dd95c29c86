"""The files between deploykit and its load generator: `loadtest.json` in, `samples.jsonl` and `generator.json` out."""

import datetime as dt
from typing import Literal

from pydantic import ConfigDict, Field

from deploykit.base import Value
from deploykit.catalog.workload import Workload

CANNOT_RECORD = 74
"""The generator's exit code when it cannot write its files: on a full disk there is no other way to say so."""


class Recorded(Value):
    """What a process wrote down while it ran: a figure that is no number is damage, not a measurement."""

    model_config = ConfigDict(allow_inf_nan=False)


class LoadTestSpec(Recorded):
    """`loadtest.json`: all the generator needs. The API key is not in it: it comes by DEPLOYKIT_API_KEY."""

    format: Literal["deploykit/loadtest/1"] = "deploykit/loadtest/1"
    base_url: str = Field(description="Without /v1.")
    model: str
    workload: Workload
    request_timeout_s: float = Field(600, gt=0)
    drain_s: float = Field(
        60, ge=0, description="How long answers may take after a stage stopped sending; then cut off."
    )
    nonce: str | None = Field(
        None, description="Goes into every prompt, so that no earlier run's cache answers it; null draws one."
    )


class Calibration(Recorded):
    """How prompt lengths in words became lengths in the server's tokens, measured once before the load."""

    method: Literal["tokenize", "usage"] = Field(
        description="`tokenize`: the server's /tokenize counted; `usage`: two completions of one token did."
    )
    tokens_per_word: float = Field(gt=0)
    template_tokens: float = Field(description="Tokens the chat template adds to a prompt.")
    requests: int = Field(0, ge=0, description="Completions it took; the engine counted their tokens too.")
    prompt_tokens: int = Field(0, ge=0)
    output_tokens: int = Field(0, ge=0)


class RequestSample(Recorded):
    """One request, as one line of `samples.jsonl`. Times are seconds on the generator's monotonic clock since its start.

    TTFT is `first_token_s - intended_s`; TPOT is `(last_token_s - first_token_s) / (output_tokens - 1)`;
    ITL are the gaps between events that carried tokens; E2E is `last_token_s - intended_s`.
    """

    request: int = Field(ge=0)
    stage: int = Field(ge=0)
    user: int = Field(ge=0)
    intended_s: float = Field(description="When the schedule wanted it sent.")
    sent_s: float | None = Field(description="Just before the first byte was written; null if it never was.")
    headers_s: float | None = None
    first_token_s: float | None = Field(None, description="First event with text, reasoning included.")
    last_token_s: float | None = None
    done_s: float | None = Field(None, description="When the stream ended.")
    token_events_s: tuple[float, ...] = Field((), description="Offsets of every event with text, from `sent_s`.")
    coalesced_events: int = Field(
        0, ge=0, description="Events that arrived in one read with an earlier one and share its time."
    )
    prompt_tokens: int | None = Field(None, ge=0, description="From the server's usage.")
    cached_tokens: int | None = Field(None, ge=0, description="From the server's usage; null if it does not say.")
    output_tokens: int | None = Field(None, ge=0, description="From the server's usage.")
    reasoning_tokens: int | None = Field(None, ge=0)
    wanted_prompt_tokens: int | None = Field(None, description="What the workload asked for; usage says what it was.")
    wanted_output_tokens: int
    status: int | None = None
    outcome: Literal["ok", "http_error", "truncated", "timeout", "connection_error", "cut_off"] = Field(
        description="`http_error`: the server reported an error, by its status or inside the stream. `truncated`: the "
        "stream ended without a finish reason or without [DONE]. `cut_off`: still running when the drain was over."
    )
    finish_reason: str | None = None
    error: str | None = None


class GeneratorFacts(Recorded):
    """`generator.json`: what made the load, and whether it kept up."""

    format: Literal["deploykit/generator/1"] = "deploykit/generator/1"
    locust: str
    python: str
    processes: int = Field(ge=1)
    started_at: dt.datetime = Field(description="Wall clock at the zero of the samples' times.")
    stage_starts_s: tuple[float, ...]
    stage_ends_s: tuple[float, ...] = Field(description="When each stage stopped sending.")
    loop_lag_p99_s: float | None = Field(None, description="Overshoot of a 10 ms sleep in the generator's event loop.")
    loop_lag_max_s: float | None = None
    cpu_share: float | None = Field(None, description="CPU seconds per wall second of the busiest process.")
    calibration: Calibration | None = None
    nonce: str | None = Field(None, description="What made this run's prompts its own.")
    stopped_by: str | None = Field(
        None, description="What ended the run early: a signal, the hard stop; null if nothing did."
    )


class EngineCounters(Value):
    """The engine's own counters at one moment, summed over its data-parallel ranks; null where it has none."""

    at: dt.datetime
    prompt_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    requests_finished: int | None
    preemptions: int | None


class LoadTestRun(Value):
    """A load test as a whole: what was asked, what came back, and the engine's counters around it."""

    format: Literal["deploykit/loadtest-run/1"] = "deploykit/loadtest-run/1"
    spec: LoadTestSpec
    generator: GeneratorFacts
    before: EngineCounters | None
    after: EngineCounters | None
    engine_ended: str | None = Field(
        None, description="How an engine ended while the load test ran; null if none did, or nobody could look."
    )
    samples: tuple[RequestSample, ...]
    sample_count: int | None = Field(
        None, description="How many there are, where they lie in a file beside this: a file cut short is then seen."
    )


def parse_samples(text: str) -> tuple[RequestSample, ...]:
    """Return the samples in the text of a `samples.jsonl`; a last line cut while it was written is left out.

    Raises pydantic's ValidationError for a line that is not a sample. Only a line feed ends a line: an error's text may
    hold the other characters that `splitlines` breaks at.
    """
    return tuple(RequestSample.model_validate_json(line) for line in text.split("\n")[:-1])
