"""A load generator in front of a server that is only arithmetic: some slots, one line, and a fixed time for an answer."""

import datetime as dt
import heapq
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from deploykit.catalog.workload import ClosedLoop, OpenLoop
from deploykit.errors import DeploykitError
from deploykit.measuring.samples import GeneratorFacts, LoadTestSpec, RequestSample
from deploykit.workflows.ports import Progress

START = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
TOKENS = 20


class SimulatedGenerator:
    """Its server can do `slots / service_s` requests a second. `breaks` raises in the trial of its number, from 1."""

    def __init__(
        self,
        slots: int = 8,
        service_s: float = 0.4,
        *,
        breaks: dict[int, DeploykitError] | None = None,
        lag_s: Callable[[LoadTestSpec], float] = lambda _: 0.001,
        slower: Callable[[int], float] = lambda _: 1.0,
    ) -> None:
        self.slots, self.service_s = slots, service_s
        self.breaks, self.lag_s, self.slower = breaks or {}, lag_s, slower
        self.specs: list[LoadTestSpec] = []

    def run(
        self,
        spec: LoadTestSpec,
        *,
        directory: Path,
        api_key: str | None,
        on_progress: Callable[[Progress], None],
        authority: Path | None = None,
    ) -> tuple[GeneratorFacts, tuple[RequestSample, ...]]:
        self.specs.append(spec)
        number = len(self.specs)
        if number in self.breaks:
            raise self.breaks[number]
        (stage,) = spec.workload.stages
        service_s = self.service_s * self.slower(number)
        taken = self._open(stage, service_s) if isinstance(stage, OpenLoop) else self._closed(stage, service_s)
        samples = tuple(_sample(index, *times) for index, times in enumerate(taken))
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "samples.jsonl").write_text("".join(s.model_dump_json() + "\n" for s in samples))
        facts = GeneratorFacts(
            locust="2.47.0", python="3.11.7", processes=spec.processes, loop_lag_p99_s=self.lag_s(spec), loop_lag_max_s=self.lag_s(spec),
            cpu_share=0.1, started_at=START + dt.timedelta(hours=number), stage_starts_s=(0.0,), stage_ends_s=(stage.duration_s,),
        )  # fmt: skip
        return facts, samples

    def _open(self, stage: OpenLoop, service_s: float) -> Iterator[tuple[float, float, float]]:
        draw, at = random.Random(len(self.specs)), 0.0  # noqa: S311 - a simulation, not a secret
        slots = [0.0] * self.slots
        while (at := at + draw.expovariate(stage.requests_per_s)) < stage.duration_s:
            begins = max(at, heapq.heappop(slots))
            heapq.heappush(slots, begins + service_s)
            yield at, begins, begins + service_s

    def _closed(self, stage: ClosedLoop, service_s: float) -> Iterator[tuple[float, float, float]]:
        users, slots = [0.001 * user for user in range(stage.users)], [0.0] * self.slots
        while users[0] < stage.duration_s:
            at = heapq.heappop(users)
            begins = max(at, heapq.heappop(slots))
            for line in (users, slots):
                heapq.heappush(line, begins + service_s)
            yield at, begins, begins + service_s


def _sample(request: int, intended: float, begins: float, ends: float) -> RequestSample:
    first, step = begins + 0.02, (ends - begins - 0.02) / (TOKENS - 1)
    return RequestSample(
        request=request, stage=0, user=0, intended_s=intended, sent_s=intended, headers_s=first, first_token_s=first, last_token_s=ends,
        done_s=ends, token_events_s=tuple(first - intended + step * n for n in range(TOKENS)), prompt_tokens=100, output_tokens=TOKENS,
        wanted_output_tokens=TOKENS, status=200, outcome="ok", finish_reason="length",
    )  # fmt: skip
