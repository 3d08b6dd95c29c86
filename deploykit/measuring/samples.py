"""The files between deploykit and its load generator: `loadtest.json` in, samples, progress and facts out."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import Workload
from deploykit.measuring.certificate import Certificate, joined
from deploykit.measuring.load_hosts import LoadHost
from deploykit.measuring.power import PowerLog
from deploykit.measuring.recorded import Recorded

CANNOT_RECORD = 74
"""The generator's exit code when it cannot write its files: on a full disk there is no other way to say so."""


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
    processes: int = Field(1, ge=1, le=256, description="How many processes make the load, on all hosts together.")
    hosts: tuple[LoadHost, ...] = Field((), description="Machines that make the load; none: this one does.")
    certificate_s: float = Field(
        0, ge=0, le=60, description="How long the generator measures itself before the load; 0: it does not."
    )
    inputs: str | None = Field(
        None, description="Folder of the files that are replayed, seen from this file's own; null where there are none."
    )
    nonce: str | None = Field(
        None, description="Goes into every prompt, so that no earlier run's cache answers it; null: one is drawn."
    )


class Calibration(Recorded):
    """How prompt lengths in words became lengths in the server's tokens, measured once before the load."""

    method: Literal["exact", "tokenize", "usage"] = Field(
        description="`exact`: the server's /tokenize counted every word, and they add up, so that a prompt is as long as "
        "it is meant to be; `tokenize`: it counted, but words do not add up, so that lengths are about right; "
        "`usage`: two completions of one token counted, with the same effect."
    )
    tokens_per_word: float = Field(gt=0)
    template_tokens: float = Field(description="Tokens the chat template adds to a prompt.")
    turn_tokens: float | None = Field(
        None, description="Tokens it adds for an earlier question and its answer; null if that could not be told."
    )
    word_tokens: tuple[int, ...] = Field((), description="Tokens of each word of the generator's list after a space.")
    opener_tokens: int = Field(0, ge=0, description="Tokens of the word that texts begin with.")
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
    worker: int = Field(0, ge=0, description="Which of the generator's processes made it.")
    session: int | None = Field(None, ge=0, description="Which conversation it is a turn of.")
    turn: int | None = Field(None, ge=0, description="Which turn of it, from 0.")
    prompt: int | None = Field(None, ge=0, description="Which of the operator's own prompts it sent, from 0.")
    intended_s: float = Field(description="When the schedule wanted it sent.")
    sent_s: float | None = Field(description="Just before the first byte was written; null if it never was.")
    headers_s: float | None = None
    first_event_s: float | None = Field(None, description="First event of any kind, a role-only one included.")
    first_token_s: float | None = Field(None, description="First event with text, reasoning included.")
    first_reasoning_s: float | None = Field(None, description="First event with reasoning text; null if none came.")
    first_answer_s: float | None = Field(None, description="First event with text of the answer itself or a tool call.")
    last_token_s: float | None = None
    usage_s: float | None = Field(None, description="When the usage came.")
    done_s: float | None = Field(None, description="When the stream ended.")
    stamp: Literal["kernel", "user"] | None = Field(
        None, description="Who stamped the reads: the kernel when the bytes came, or this process when it read them."
    )
    token_events_s: tuple[float, ...] = Field((), description="Offsets of every event with text, from `sent_s`.")
    coalesced_events: int = Field(
        0, ge=0, description="Events that arrived in one read with an earlier one and share its time."
    )
    prompt_tokens: int | None = Field(None, ge=0, description="From the server's usage.")
    cached_tokens: int | None = Field(None, ge=0, description="From the server's usage; null if it does not say.")
    output_tokens: int | None = Field(None, ge=0, description="From the server's usage.")
    reasoning_tokens: int | None = Field(None, ge=0)
    wanted_prompt_tokens: int | None = Field(None, description="What the workload asked for; usage says what it was.")
    reusable_tokens: int | None = Field(
        None, ge=0, description="Of the prompt, the beginning that an earlier request sent, as the workload means it."
    )
    wanted_output_tokens: int
    status: int | None = None
    outcome: Literal["ok", "http_error", "truncated", "timeout", "connection_error", "cut_off"] = Field(
        description="`http_error`: the server reported an error, by its status or inside the stream. `truncated`: the "
        "stream ended without a finish reason or without [DONE]. `cut_off`: still running when the drain was over."
    )
    finish_reason: str | None = None
    error: str | None = None


class ProcessFacts(Recorded):
    """`generator-N.json`: what one process of the generator was, and whether it kept up."""

    process: int = Field(ge=0)
    host: str
    locust: str
    python: str
    started_at: dt.datetime = Field(description="Wall clock at the zero of the samples' times.")
    stage_starts_s: tuple[float, ...]
    stage_ends_s: tuple[float, ...] = Field(description="When it stopped sending in each stage.")
    loop_lag_p99_s: float | None = Field(None, description="Overshoot of a 10 ms sleep in the process's event loop.")
    loop_lag_max_s: float | None = None
    cpu_share: float | None = Field(None, description="CPU seconds per wall second.")
    clock_error_s: float = Field(
        0.0, ge=0, description="How far its clock may be off the first process's; 0 on one machine."
    )
    calibration: Calibration | None = None
    certificate: Certificate | None = Field(None, description="Of this process's share of the load.")
    uncertified: str | None = Field(None, description="Why it has no certificate, where one was wanted.")
    stopped_by: str | None = None


class ProcessProgress(Recorded):
    """`progress-N.json`: how far one process is; tokens are those of answered requests."""

    stage: int
    stages: int
    elapsed_s: float
    expected_s: float
    in_flight: int
    finished: int
    failed: int
    input_tokens: int
    output_tokens: int
    recent_ttft_s: tuple[float, ...] = ()
    recent_tpot_s: tuple[float, ...] = ()
    certificate: Certificate | None = Field(None, description="Null until the process has measured itself.")


class GeneratorFacts(Recorded):
    """`generator.json`: what made the load, and whether it kept up; figures are those of the worst process."""

    format: Literal["deploykit/generator/1"] = "deploykit/generator/1"
    locust: str
    python: str
    processes: int = Field(ge=1, description="How many made load; their own facts are in `of_processes`.")
    started_at: dt.datetime = Field(description="Wall clock at the zero of the samples' times.")
    stage_starts_s: tuple[float, ...]
    stage_ends_s: tuple[float, ...] = Field(description="When each stage stopped sending.")
    loop_lag_p99_s: float | None = Field(None, description="Overshoot of a 10 ms sleep in the generator's event loop.")
    loop_lag_max_s: float | None = None
    cpu_share: float | None = Field(None, description="CPU seconds per wall second of the busiest process.")
    calibration: Calibration | None = None
    certificate: Certificate | None = Field(
        None, description="What the generator was found to add to its times before the load; null if it was not."
    )
    uncertified: str | None = Field(None, description="Why not, where it was wanted.")
    nonce: str | None = Field(None, description="What made this run's prompts its own.")
    stopped_by: str | None = Field(
        None, description="What ended the run early: a signal, the hard stop; null if nothing did."
    )
    of_processes: tuple[ProcessFacts, ...] = ()
    lost: tuple[int, ...] = Field((), description="Processes that ended before the run did.")


def join_facts(parts: Sequence[ProcessFacts], *, processes: int, nonce: str | None) -> GeneratorFacts:
    """Return the generator's facts from those of its processes: at least one, those that are missing are lost.

    A stage begins with its first process and ends when the last one stopped sending. A stage that not every
    process came to is left out.
    """
    ordered = sorted(parts, key=lambda part: part.process)
    first, begun = ordered[0], min(len(part.stage_starts_s) for part in ordered)
    ended = min(len(part.stage_ends_s) for part in ordered)
    return GeneratorFacts(
        locust=first.locust,
        python=first.python,
        processes=processes,
        started_at=first.started_at,
        stage_starts_s=tuple(min(part.stage_starts_s[i] for part in ordered) for i in range(begun)),
        stage_ends_s=tuple(max(part.stage_ends_s[i] for part in ordered) for i in range(ended)),
        loop_lag_p99_s=_worst(part.loop_lag_p99_s for part in ordered),
        loop_lag_max_s=_worst(part.loop_lag_max_s for part in ordered),
        cpu_share=_worst(part.cpu_share for part in ordered),
        calibration=next((part.calibration for part in ordered if part.calibration), None),
        certificate=joined([part.certificate for part in ordered]),
        uncertified=next((part.uncertified for part in ordered if part.uncertified), None),
        nonce=nonce,
        stopped_by=next((part.stopped_by for part in ordered if part.stopped_by), None),
        of_processes=tuple(ordered),
        lost=tuple(sorted(set(range(processes)) - {part.process for part in ordered})),
    )


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


class EngineCounters(Value):
    """The engine's own counters at one moment, summed over its data-parallel ranks; null where it has none."""

    at: dt.datetime
    prompt_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    requests_finished: int | None
    preemptions: int | None
    prefix_queries: int | None = Field(None, description="Tokens looked up in the prefix cache.")
    prefix_hits: int | None = Field(None, description="Of them, those that were there.")
    draft_tokens: int | None = Field(None, description="Tokens that speculative decoding proposed.")
    accepted_tokens: int | None = Field(None, description="Of them, those that the model took.")


class LoadTestRun(Value):
    """A load test as a whole: what was asked, what came back, and the engine's counters around it."""

    format: Literal["deploykit/loadtest-run/1"] = "deploykit/loadtest-run/1"
    spec: LoadTestSpec
    generator: GeneratorFacts
    before: EngineCounters | None
    after: EngineCounters | None
    power: PowerLog | None = Field(None, description="Of the GPUs while it ran; null where nobody read it.")
    engine_ended: str | None = Field(
        None, description="How an engine ended while the load test ran; null if none did, or nobody could look."
    )
    warmup_each: bool = Field(
        False, description="Whether each stage began with the warm-up, as trials do that were made one after another."
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
