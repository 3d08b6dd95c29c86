"""The options that say what a load is replayed from, and whether a cache may help -> the workload that they make of another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from deploykit.errors import UsageError

if TYPE_CHECKING:
    from deploykit.catalog.workload import Workload

Trace = Annotated[
    str | None,
    typer.Option(
        "--trace", metavar="FILE", help="Replay a recorded trace over the workload's stages.", show_default=False
    ),
]
TraceFormat = Annotated[
    str | None,
    typer.Option(
        "--trace-format",
        metavar="mooncake|azure|burstgpt",
        help="The trace's format.",
        show_default="told by its line 1",
    ),
]
Speed = Annotated[
    float | None, typer.Option("--speed", help="Of the trace's time: 2 plays it in half of it.", show_default="1")
]
Requests = Annotated[
    int | None,
    typer.Option(
        "--requests", min=1, max=10_000_000, help="End --trace, --users or --requests-per-s after so many requests."
    ),
]
MaxContext = Annotated[
    int | None,
    typer.Option(
        "--max-context", metavar="TOKENS", min=1, help="Leave out a trace's requests that are longer; they are counted."
    ),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        "--prompts", metavar="FILE", help="Send your own prompts, JSON lines, as they are.", show_default=False
    ),
]
Shuffle = Annotated[bool, typer.Option("--shuffle", help="Send --prompts in an order drawn from the seed.")]
KeepPrompts = Annotated[bool, typer.Option("--keep-prompts", help="Keep a copy of --prompts in the run's folder.")]
FreshPrompts = Annotated[
    bool, typer.Option("--fresh-prompts", help="Begin every prompt like no other: no prefix cache can help.")
]

_MOST_SPEED = 1e6
_FORMATS = ("mooncake", "azure", "burstgpt")


class Replay(NamedTuple):
    """What the options say."""

    trace: str | None
    trace_format: str | None
    speed: float | None
    requests: int | None
    max_context: int | None
    prompts: str | None
    shuffle: bool
    keep_prompts: bool
    fresh_prompts: bool


def replaying(
    workload: "Workload", given: Replay, *, duration: float | None, stages: bool, searches: bool
) -> "Workload":
    """Return the workload that the options make of another.

    Args:
        workload: the other one: its SLO, temperature and seed stay.
        given: the options.
        duration: how long a trace is replayed at most.
        stages: whether other options make a stage of their own.
        searches: whether they make a sweep or a search.

    Raises UsageError for what contradicts itself.

    """
    _check(given, duration, stages=stages, searches=searches)
    if given.trace is not None:
        workload = _of_trace(workload, given, given.trace, duration)
    if given.prompts is not None:
        workload = _of_prompts(workload, given, given.prompts)
    if given.fresh_prompts:
        workload = workload.model_copy(update={"fresh_prompts": True, "name": f"{workload.name}-fresh"})
    return workload


def bounded(workload: "Workload", given: Replay) -> "Workload":
    """Return the workload with no more requests in its only stage than the options say.

    Nobody knows how long they take, so all of them are measured: there is no warm-up.
    """
    if given.requests is None:
        return workload
    stages = tuple(stage.model_copy(update={"max_requests": given.requests}) for stage in workload.stages)
    return workload.model_copy(update={"stages": stages, "warmup_s": 0.0})


def _of_trace(workload: "Workload", given: Replay, file: str, duration: float | None) -> "Workload":
    from deploykit.catalog.workload import TraceReplay

    stage = TraceReplay(
        file=str(Path(file).absolute()),
        format=given.trace_format,
        speed=given.speed or 1.0,
        duration_s=duration or _WHOLE_S,
        max_requests=given.requests,
        max_context_tokens=given.max_context,
    )
    # all of a trace is measured: it has no steady part that a warm-up comes before
    alone = {"stages": (stage,), "warmup_s": 0.0, "shared_prefix": None, "sessions": None, "own_prompts": None}
    return workload.model_copy(update={**alone, "name": Path(file).name, "title": f"Trace {Path(file).name}"})


_WHOLE_S = 7 * 86_400.0
"""Longer than a load test; a trace that is longer still has to be told how much of it is wanted."""


def _of_prompts(workload: "Workload", given: Replay, file: str) -> "Workload":
    from deploykit.catalog.workload import OwnPrompts

    own = OwnPrompts(
        file=str(Path(file).absolute()), order="shuffled" if given.shuffle else "file", keep=given.keep_prompts
    )
    alone = {"own_prompts": own, "shared_prefix": None, "sessions": None}
    return workload.model_copy(update={**alone, "name": Path(file).name, "title": f"Prompts of {Path(file).name}"})


def _check(given: Replay, duration: float | None, *, stages: bool, searches: bool) -> None:
    """Refuse options that contradict each other, or say nothing."""
    if given.trace is not None:
        _check_trace(given, duration, alone=not stages and not searches)
    of_trace = {"--trace-format": given.trace_format, "--speed": given.speed, "--max-context": given.max_context}
    if given.trace is None and (name := next((name for name, value in of_trace.items() if value is not None), None)):
        raise UsageError(f"{name} is about a trace", hint="add --trace FILE")
    of_prompts = {"--shuffle": given.shuffle, "--keep-prompts": given.keep_prompts}
    if given.prompts is None and (name := next((name for name, flag in of_prompts.items() if flag), None)):
        raise UsageError(f"{name} is about prompts of your own", hint="add --prompts FILE")
    if given.requests is not None and given.trace is None and not stages:
        raise UsageError("--requests bounds one stage", hint="with --trace, --users or --requests-per-s")


def _check_trace(given: Replay, duration: float | None, *, alone: bool) -> None:
    if not alone:
        raise UsageError(
            "--trace has its own arrivals: it excludes --users, --requests-per-s, --sweep and --find-goodput",
            hint="--speed plays it faster or slower",
        )
    if given.prompts is not None:
        raise UsageError(
            "--trace and --prompts exclude each other", hint="a trace's prompts are made up, to its lengths"
        )
    if given.trace_format not in {None, *_FORMATS}:
        raise UsageError(f"`--trace-format {given.trace_format}`: it is one of {', '.join(_FORMATS)}")
    if given.speed is not None and not 0 < given.speed <= _MOST_SPEED:
        raise UsageError(f"--speed {given.speed:g} is not above zero, up to {_MOST_SPEED:,.0f}")
    if duration is not None and not 0 < duration < float("inf"):
        raise UsageError(f"--duration {duration:g} is not above zero")
