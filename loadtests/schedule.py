"""Workload -> who asks for what, and when: every draw is made from the seed alone.

The n-th request is the same whoever sends it and however many processes share the work, because it is drawn from
the seed and its number, never from a generator that requests take turns at. Arrivals are absolute times, drawn before
the stage begins: an answer that is late moves no later request.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from deploykit.catalog.workload import Fixed, Length, LogNormal, OpenLoop, Uniform, Workload


@dataclass(frozen=True)
class Order:
    """One request to make."""

    request: int
    prompt_tokens: int
    """Of the prompt beyond its prefix."""
    output_tokens: int
    prefix: int | None
    """Which of the workload's shared prefixes it begins with."""


def order(workload: Workload, request: int) -> Order:
    """Return the n-th request of a run."""
    rng = random.Random(f"{workload.seed}/request/{request}")  # noqa: S311 - a schedule, not a secret
    shared = workload.shared_prefix
    return Order(
        request=request,
        prompt_tokens=draw(workload.prompt_tokens, rng),
        output_tokens=draw(workload.output_tokens, rng),
        prefix=rng.randrange(shared.distinct) if shared else None,
    )


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


def arrivals(stage: OpenLoop, *, seed: int, index: int) -> Iterator[float]:
    """Yield when each request of an open-loop stage is due, in seconds since the stage began."""
    rng = random.Random(f"{seed}/arrivals/{index}")  # noqa: S311 - a schedule, not a secret
    at, count = 0.0, 0
    while stage.max_requests is None or count < stage.max_requests:
        # a constant stream is counted, not added up: a sum of gaps drifts
        at = at + rng.expovariate(stage.requests_per_s) if stage.arrivals == "poisson" else count / stage.requests_per_s
        if at >= stage.duration_s:
            return
        yield at
        count += 1


def expected_s(workload: Workload) -> float:
    """Return how long sending takes if every stage lasts its whole duration."""
    return sum(stage.duration_s for stage in workload.stages)
