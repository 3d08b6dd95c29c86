"""A spec and its files -> who asks for what, and when: drawn from the seed, from a trace, or from the operator's prompts.

Everything is known before the load begins, and is the same in every process of it.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import schedule
from schedule import Order

from deploykit.catalog.own_prompts import OwnPrompt, OwnPrompts, parse_prompts
from deploykit.catalog.stages import MOST_REQUESTS, OpenLoop, TraceReplay
from deploykit.catalog.traces import Replayed, read_schedule
from deploykit.catalog.workload import Workload
from deploykit.measuring.samples import LoadTestSpec


class CannotReplay(Exception):  # noqa: N818 - it names what happened
    """A file that is replayed is gone, or is not what it was."""


@dataclass(frozen=True)
class Sources:
    """Where one run's requests come from."""

    workload: Workload
    traces: dict[int, tuple[Replayed, ...]] = field(default_factory=dict)
    """The requests of each stage that replays a trace."""
    own: tuple[OwnPrompt, ...] = ()

    @classmethod
    def read(cls, spec: LoadTestSpec, folder: Path) -> "Sources":
        """Read what a spec needs, seen from the folder it lies in; raises CannotReplay."""
        inputs, workload = folder / (spec.inputs or "."), spec.workload
        traces = {
            index: read_schedule(_text(inputs / f"trace-{index}.jsonl", stage.facts and stage.facts.schedule_sha256))
            for index, stage in enumerate(workload.stages)
            if isinstance(stage, TraceReplay)
        }
        prompts = workload.own_prompts
        if prompts is None:
            return cls(workload, traces)
        text = _text(Path(prompts.file), prompts.facts and prompts.facts.sha256)
        return cls(workload, traces, parse_prompts(text.split("\n"), file=prompts.file))

    def due(self, stage: OpenLoop | TraceReplay, index: int) -> Iterator[float]:
        """Yield when each go of an open-loop stage begins, in seconds since the stage began: see `script`."""
        if isinstance(stage, OpenLoop):
            return schedule.due(self.workload, stage, index)
        return (request.at_s for request in self.traces[index])

    def script(self, index: int, number: int) -> tuple[Order, ...]:
        """Return what a stage's n-th arrival, or a user's n-th go, sends one after another."""
        if index in self.traces:
            return (_of_trace(self.traces[index][number], index * MOST_REQUESTS + number),)
        own = self.workload.own_prompts
        if own is None:
            return schedule.script(self.workload, index, number)
        which = which_prompt(own, self.workload.seed, index, number, len(self.own))
        asked = schedule.order(self.workload, index * MOST_REQUESTS + number)
        return (
            Order(
                request=asked.request,
                prompt_tokens=0,
                output_tokens=self.own[which].max_tokens or asked.output_tokens,
                prefix=None,
                own=which,
            ),
        )


def _text(file: Path, sha256: str | None) -> str:
    """Return a file's text; raises CannotReplay if it is gone, or changed since its facts were written."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CannotReplay(f"{file} cannot be read: {error.strerror}") from None
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise CannotReplay(f"{file} was changed since the load test began")
    return content.decode("utf-8")


def which_prompt(own: OwnPrompts, seed: int, stage: int, number: int, count: int) -> int:
    """Return which of so many prompts a stage's n-th request sends: all of them come before one comes again."""
    turn, place = divmod(number, count)
    return place if own.order == "file" else _shuffled(f"{seed}/prompts/{stage}/{turn}", count)[place]


@lru_cache(maxsize=4)
def _shuffled(key: str, count: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(key).shuffle(order)  # noqa: S311 - a schedule, not a secret
    return tuple(order)


def _of_trace(wanted: Replayed, request: int) -> Order:
    return Order(
        request=request,
        prompt_tokens=wanted.prompt_tokens,
        output_tokens=wanted.output_tokens,
        prefix=None,
        blocks=wanted.blocks,
        in_blocks=wanted.reusable_tokens,
    )
