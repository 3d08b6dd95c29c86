"""A load test's spec -> its requests, made and recorded: the stages one after another, each drained before the next.

Closed loop: each user sends its next request when its last was answered; a request is intended at the moment its user
is ready to send. Open loop: one greenlet per arrival, at absolute times; a request is intended when the schedule says,
so that whatever delays it, the server or the generator itself, is part of its latency.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent
from gevent.pool import Group
from prompts import Prompts, chat_body
from recorder import Recorder
from sampling import sample_of
from schedule import Order, arrivals, order
from stream import Answer, AnswerReader
from wire import CutOff, Exchange, Server

from deploykit.catalog.workload import ClosedLoop, OpenLoop
from deploykit.measuring.samples import LoadTestSpec, RequestSample

_PATH = "/v1/chat/completions"
_PAUSE_AFTER_FAILURE_S = 0.5
"""A closed-loop user waits so long after a failure: a server that refuses at once must not be hammered."""
_READS_AT_ONCE = 50
"""Reads parsed before other streams get their turn: parsing must not make another stream's stamps late."""


@dataclass
class Flight:
    """A request that has not ended."""

    order: Order
    stage: int
    user: int
    intended_s: float
    exchange: Exchange = field(default_factory=Exchange)


@dataclass
class Traffic:
    """Makes the requests of one run. Times are seconds since `zero`."""

    spec: LoadTestSpec
    server: Server
    prompts: Prompts
    recorder: Recorder
    zero: float
    on_sample: Callable[[RequestSample], None]
    stage: int = 0
    stage_starts_s: list[float] = field(default_factory=list)
    stage_ends_s: list[float] = field(default_factory=list)
    flights: dict[int, Flight] = field(default_factory=dict)
    error: OSError | None = None
    _next: int = 0
    _sent: int = 0
    _group: Group = field(default_factory=Group)

    def now(self) -> float:
        """Return seconds since the run's zero."""
        return time.perf_counter() - self.zero

    def run(self) -> None:
        """Run every stage; raises what kept a sample from being recorded."""
        for index, stage in enumerate(self.spec.workload.stages):
            self.stage, self._sent, start = index, 0, self.now()
            self.stage_starts_s.append(start)
            end = start + stage.duration_s
            end = self._closed(stage, end) if isinstance(stage, ClosedLoop) else self._open(stage, start)
            self.stage_ends_s.append(end)
            self._group.join(timeout=max(0.0, end + self.spec.drain_s - self.now()))
            self.cut_off()
            if self.error:
                raise self.error

    def cut_off(self) -> None:
        """End every request that still runs, and record it as such."""
        self._group.kill(CutOff, timeout=5)
        for flight in list(self.flights.values()):  # a greenlet killed before its first step records nothing itself
            flight.exchange.failure = flight.exchange.failure or "cut_off"
            self._record(flight, Answer())

    def _closed(self, stage: ClosedLoop, end: float) -> float:
        """Run a closed-loop stage; return when it stopped sending."""
        for user in range(stage.users):
            self._group.spawn(self._user, stage, user, end)
        while self.now() < end and not self.error:
            if stage.max_requests is not None and self._sent >= stage.max_requests:
                return self.now()
            gevent.sleep(min(0.02, max(0.0, end - self.now())))
        return min(end, self.now())

    def _user(self, stage: ClosedLoop, user: int, end: float) -> None:
        while self.now() < end and not self.error:
            if stage.max_requests is not None and self._sent >= stage.max_requests:
                return
            self._sent += 1
            wanted, body = self._prepare()
            answered = self._one(Flight(wanted, self.stage, user, intended_s=self.now()), body)
            pause = stage.think_time_s if answered else max(stage.think_time_s, _PAUSE_AFTER_FAILURE_S)
            gevent.sleep(min(pause, max(0.0, end - self.now())))

    def _open(self, stage: OpenLoop, start: float) -> float:
        """Run an open-loop stage; return when it stopped sending."""
        due = start
        for user, offset in enumerate(arrivals(stage, seed=self.spec.workload.seed, index=self.stage)):
            wanted, body = self._prepare()
            due = start + offset
            gevent.sleep(max(0.0, due - self.now()))
            if self.error:
                return self.now()
            flight = Flight(wanted, self.stage, user, intended_s=due)
            self.flights[wanted.request] = flight
            self._group.spawn(self._one, flight, body)
            self._sent += 1
        if stage.max_requests is not None and self._sent >= stage.max_requests:
            return due
        end = start + stage.duration_s
        gevent.sleep(max(0.0, end - self.now()))
        return end

    def _prepare(self) -> tuple[Order, bytes]:
        """Take the next request's number and make its body, before it is due."""
        workload = self.spec.workload
        wanted = order(workload, self._next)
        self._next += 1
        return wanted, chat_body(self.spec.model, self.prompts.prompt(wanted), wanted, workload)

    def _one(self, flight: Flight, body: bytes) -> bool:
        """Make one request and record it, however it ends; return whether the server gave a whole answer."""
        self.flights[flight.order.request] = flight
        exchange = flight.exchange
        self.server.post(_PATH, body, timeout_s=self.spec.request_timeout_s, into=exchange)
        try:
            answer = self._parse(exchange)
        except CutOff:
            exchange.failure, answer = exchange.failure or "cut_off", Answer()
        self._record(flight, answer)
        return answer.complete

    def _parse(self, exchange: Exchange) -> Answer:
        reader = AnswerReader()
        if exchange.status == 200:
            for count, (at, data) in enumerate(exchange.reads):
                reader.feed(at, data)
                if count % _READS_AT_ONCE == _READS_AT_ONCE - 1:
                    gevent.sleep(0)
        return reader.close(exchange.ended or 0.0)

    def _record(self, flight: Flight, answer: Answer) -> None:
        if self.flights.pop(flight.order.request, None) is None:
            return
        shared = self.spec.workload.shared_prefix
        sample = sample_of(
            flight.exchange,
            answer,
            request=flight.order.request,
            stage=flight.stage,
            user=flight.user,
            intended_s=flight.intended_s,
            ended_s=self.now(),
            wanted_prompt_tokens=flight.order.prompt_tokens + (shared.tokens if shared else 0),
            wanted_output_tokens=flight.order.output_tokens,
        )
        if sample.error:
            sample = sample.model_copy(update={"error": self.server.redact(sample.error)})
        try:
            self.recorder.sample(sample)
        except OSError as error:  # a full disk: without its samples the run is worth nothing
            self.error = self.error or error
        self.on_sample(sample)
