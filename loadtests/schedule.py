"""Workload -> who asks for what, and when: every draw is made from the seed alone.

The n-th request is the same whoever sends it and however many processes share the work, because it is drawn from
the seed and its number, never from a generator that requests take turns at. Arrivals are absolute times, drawn before
the stage begins: an answer that is late moves no later request.
"""

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean
from typing import TypeVar

from deploykit.catalog.stages import MOST_REQUESTS, end_rate
from deploykit.catalog.workload import ClosedLoop, Fixed, Length, LogNormal, OpenLoop, Uniform, Workload, max_tokens

T = TypeVar("T")

_SESSIONS_TRIED = 1000
"""Of the sessions' mean length, drawn before the load: its error is below a hundredth for most shapes."""


@dataclass(frozen=True)
class Order:
    """One request to make."""

    request: int
    prompt_tokens: int
    """New text of it: beyond its prefix, and beyond what was said before in its session."""
    output_tokens: int
    prefix: int | None
    """Which of the workload's shared prefixes it begins with."""
    prefix_tokens: int = 0
    session: int | None = None
    turn: int | None = None
    earlier: tuple[tuple[int, int], ...] = ()
    """What was said before in its session: prompt and output tokens of each turn."""
    think_time_s: float = 0.0
    """From the end of the session's answer before to this turn."""
    blocks: tuple[int, ...] = ()
    """Of a trace: which blocks the prompt is made of, from its beginning."""
    in_blocks: int = 0
    """Of a trace: tokens of the leading blocks that an earlier request had too."""
    own: int | None = None
    """Which of the operator's own prompts it sends; how long that is, is not known."""

    @property
    def whole_prompt_tokens(self) -> int:
        """The whole prompt, as the server is meant to count it."""
        return self.prefix_tokens + sum(map(sum, self.earlier)) + self.prompt_tokens

    @property
    def reusable_tokens(self) -> int:
        """Of the prompt, the beginning that an earlier request sent: the turn before, or others with its prefix."""
        said = sum(map(sum, self.earlier[:-1])) + self.earlier[-1][0] if self.earlier else 0
        return self.in_blocks + self.prefix_tokens + said


def script(workload: Workload, stage: int, number: int) -> tuple[Order, ...]:
    """Return what a stage's n-th arrival, or a user's n-th go, sends one after another: one request, or a session's.

    Numbers of requests are unique in the run, and the same however many processes share it.
    """
    first = stage * MOST_REQUESTS
    if workload.sessions is None:
        return (order(workload, first + number),)
    turns = conversation(workload, first + number)
    step = max_tokens(workload.sessions.turns)
    return tuple(replace(turn, request=first + number * step + index) for index, turn in enumerate(turns))


def order(workload: Workload, request: int) -> Order:
    """Return the request of a number, which stands alone."""
    rng = random.Random(f"{workload.seed}/request/{request}")  # noqa: S311 - a schedule, not a secret
    shared = workload.shared_prefix
    return Order(
        request=request,
        prompt_tokens=draw(workload.prompt_tokens, rng),
        output_tokens=draw(workload.output_tokens, rng),
        prefix=rng.randrange(shared.distinct) if shared else None,
        prefix_tokens=shared.tokens if shared else 0,
    )


def conversation(workload: Workload, session: int) -> tuple[Order, ...]:
    """Return the turns of a session, numbered from 0; it ends early where the context is full.

    Raises ValueError for a workload without sessions.
    """
    shape, shared = workload.sessions, workload.shared_prefix
    if shape is None:
        raise ValueError(f"workload `{workload.name}` has no sessions")
    rng = random.Random(f"{workload.seed}/session/{session}")  # noqa: S311 - a schedule, not a secret
    prefix = rng.randrange(shared.distinct) if shared else None
    made: list[Order] = []
    for index in range(draw(shape.turns, rng)):
        length = (not index and shape.first_prompt_tokens) or workload.prompt_tokens
        turn = Order(
            request=index,
            prompt_tokens=draw(length, rng),
            output_tokens=draw(workload.output_tokens, rng),
            prefix=prefix,
            prefix_tokens=shared.tokens if shared else 0,
            session=session,
            turn=index,
            earlier=tuple((before.prompt_tokens, before.output_tokens) for before in made),
            think_time_s=shape.think_time_s if index else 0.0,
        )
        full = turn.whole_prompt_tokens + turn.output_tokens > (shape.max_context_tokens or math.inf)
        if index and full:
            break
        made.append(turn)
    return tuple(made)


@lru_cache(maxsize=8)
def mean_turns(workload: Workload) -> float:
    """Return how many requests a go makes on average: 1 without sessions."""
    if workload.sessions is None:
        return 1.0
    return fmean(len(conversation(workload, session)) for session in range(_SESSIONS_TRIED))


def draw(length: Length, rng: random.Random) -> int:
    """Return one length in tokens."""
    match length:
        case Fixed():
            return length.tokens
        case Uniform():
            return rng.randint(length.low, length.high)
        case LogNormal():
            drawn = round(rng.lognormvariate(math.log(length.median), length.sigma))
            return min(max(drawn, length.low), length.high)


def due(workload: Workload, stage: OpenLoop, index: int) -> Iterator[float]:
    """Yield when each go of an open-loop stage begins, in seconds since the stage began: see `script`.

    A stage's rate counts requests: sessions begin so much more rarely as they have turns.
    """
    return arrivals(stage, seed=workload.seed, index=index, each=mean_turns(workload))


def arrivals(stage: OpenLoop, *, seed: int, index: int, each: float = 1.0) -> Iterator[float]:
    """Yield when goes of `each` requests begin in an open-loop stage, in seconds since it began.

    The gaps are drawn at a rate of one and then stretched by the stage's rate, so that a ramp has the same kind of
    arrivals as a constant rate. Nothing is scaled to hit a number of requests: that would make the gaps depend on
    one another.
    """
    rng = random.Random(f"{seed}/arrivals/{index}")  # noqa: S311 - a schedule, not a secret
    last = 0.0
    for count, unit in enumerate(_unit_rate(stage, rng)):
        at = _when(stage, unit * each)
        if at is None or at >= stage.duration_s or count == (stage.max_requests or MOST_REQUESTS):
            return
        last = max(last, at)  # where two come together, rounding must not swap them
        yield last


def deal(schedule: Iterable[T], worker: int, workers: int) -> Iterator[tuple[int, T]]:
    """Yield one process's rows of a schedule, each with its index: of W workers, worker i has i, i + W, i + 2W, ...

    Every process draws the whole schedule and takes its share, so that all of them together send the same requests
    at the same times, however many they are.
    """
    if not 0 <= worker < workers:
        msg = f"there is no worker {worker} of {workers}"
        raise ValueError(msg)
    return itertools.islice(enumerate(schedule), worker, None, workers)


def present(stage: ClosedLoop, user: int) -> tuple[float, float]:
    """Return from when to when a user is there, in seconds since the stage began.

    A user beyond the fewer end of a ramp is there while the straight line, rounded, says so.
    """
    last = stage.users if stage.to_users is None else stage.to_users
    if user < min(stage.users, last):
        return 0.0, stage.duration_s
    crossed = stage.duration_s * (user + 0.5 - stage.users) / (last - stage.users)
    return (crossed, stage.duration_s) if last > stage.users else (0.0, crossed)


def _unit_rate(stage: OpenLoop, rng: random.Random) -> Iterator[float]:
    """Yield the times of arrivals of the stage's kind, one per second on average."""
    if stage.arrivals == "constant":
        yield from itertools.count()  # counted, not added up: a sum of gaps drifts
        return
    shape = 1.0 if stage.cv is None else stage.cv**-2
    # The first gap is the rest of one that began before the stage: bursts would otherwise bring too many requests.
    at = rng.random() * rng.gammavariate(shape + 1, 1 / shape)
    while True:
        yield at
        at += rng.expovariate(1) if stage.cv is None else rng.gammavariate(shape, 1 / shape)


def _when(stage: OpenLoop, unit: float) -> float | None:
    """Return when so many requests are due on average; None if never within a ramp to a lower rate."""
    rate = stage.requests_per_s
    change = (end_rate(stage) - rate) / stage.duration_s
    if not change:
        return unit / rate
    # rate x t + change x t^2 / 2 = unit, in the form that loses no digits where the change is small
    root = rate * rate + 2 * change * unit
    return 2 * unit / (rate + math.sqrt(root)) if root >= 0 else None


def expected_s(workload: Workload) -> float:
    """Return how long sending takes if every stage lasts its whole duration."""
    return sum(stage.duration_s for stage in workload.stages)
