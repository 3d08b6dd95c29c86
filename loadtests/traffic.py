"""A load test's spec -> this process's share of its requests, made and recorded: stage after stage, each drained first.

Users and arrivals are dealt in turn: of P processes the p-th has every P-th, beginning with its own number. The
whole is the same for any number of processes.

Closed loop: each user sends its next request when its last was answered; a request is intended at the moment its user
is ready to send. Open loop: one greenlet per arrival, at absolute times; a request is intended when the schedule says,
so that whatever delays it, the server or the generator itself, is part of its latency.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gevent
from crew import Crew
from gevent.pool import Group
from gevent.queue import Queue
from prompts import Message, Prompts, chat_body
from recorder import Recorder
from sampling import sample_of, told_without_content
from schedule import Order, deal, present
from sources import Sources
from stream import Answer
from wire import CutOff, Exchange, Server

from deploykit.catalog.stages import most_users
from deploykit.catalog.workload import ClosedLoop, OpenLoop, TraceReplay
from deploykit.measuring.samples import LoadTestSpec, RequestSample

_PATH = "/v1/chat/completions"
_PAUSE_AFTER_FAILURE_S = 0.5
"""A closed-loop user waits so long after a failure: a server that refuses at once must not be hammered."""

_AHEAD = 32
"""Requests of an open loop whose bodies are made before they are due: a burst of long prompts takes time to write."""

Ready = tuple[int, float, Sequence[Order], bytes]
"""A go's number, when it is due in its stage, its requests, and the first one's body."""


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
    """Makes one process's requests of a run. Times are seconds since `zero`."""

    spec: LoadTestSpec
    crew: Crew
    server: Server
    sources: Sources
    prompts: Prompts
    recorder: Recorder
    zero: float
    on_sample: Callable[[RequestSample], None]
    stage: int = 0
    stage_starts_s: list[float] = field(default_factory=list)
    stage_ends_s: list[float] = field(default_factory=list)
    flights: dict[int, Flight] = field(default_factory=dict)
    error: OSError | None = None
    _group: Group = field(default_factory=Group)

    def now(self) -> float:
        """Return seconds since the run's zero."""
        return time.perf_counter() - self.zero

    def run(self) -> None:
        """Run every stage; raises what kept a sample from being recorded."""
        for index, stage in enumerate(self.spec.workload.stages):
            start = self.crew.start_of(index)
            self.stage = index
            self.stage_starts_s.append(start)
            gevent.sleep(max(0.0, start - self.now()))
            end = self._closed(stage, start) if isinstance(stage, ClosedLoop) else self._open(stage, start)
            self.stage_ends_s.append(end)
            self._group.join(timeout=max(0.0, end + self.spec.drain_s - self.now()))
            self.cut_off()
            if self.error:
                raise self.error
            self.crew.over(index)

    def cut_off(self) -> None:
        """End every request that still runs, and record it as such."""
        self._group.kill(CutOff, timeout=5)
        for flight in list(self.flights.values()):  # a greenlet killed before its first step records nothing itself
            flight.exchange.failure = flight.exchange.failure or "cut_off"
            self._record(flight, Answer())

    def _closed(self, stage: ClosedLoop, start: float) -> float:
        """Run this process's users of a closed-loop stage; return when the last of them stopped sending."""
        end = start + stage.duration_s
        users = Group()
        for user in range(self.crew.index, most_users(stage), self.crew.processes):
            greenlet = gevent.Greenlet(self._user, stage, user, start)
            self._group.start(greenlet)
            users.add(greenlet)
        while self.now() < end and not self.error and len(users):
            gevent.sleep(min(0.02, max(0.0, end - self.now())))
        return min(end, self.now())

    def _user(self, stage: ClosedLoop, user: int, start: float) -> None:
        comes, goes = present(stage, user)
        number, end = user, start + goes
        gevent.sleep(max(0.0, start + comes - self.now()))
        while self.now() < end and not self.error and (stage.max_requests is None or number < stage.max_requests):
            answered = self._go(self.sources.script(self.stage, number), user, end, intended_s=None)
            number += most_users(stage)
            pause = stage.think_time_s if answered else max(stage.think_time_s, _PAUSE_AFTER_FAILURE_S)
            gevent.sleep(min(pause, max(0.0, end - self.now())))

    def _open(self, stage: OpenLoop | TraceReplay, start: float) -> float:
        """Run this process's arrivals of an open-loop stage; return when it stopped sending."""
        at, end = start, start + stage.duration_s
        ready: Queue[Ready | None] = Queue(maxsize=_AHEAD)
        maker = gevent.spawn(self._make_ready, stage, ready)
        while (next_one := ready.get()) is not None:
            number, offset, orders, first = next_one
            at = start + offset
            gevent.sleep(max(0.0, at - self.now()))
            if self.error:
                maker.kill(block=False)
                return self.now()
            flight = Flight(orders[0], self.stage, number, intended_s=at)
            self.flights[orders[0].request] = flight
            self._group.spawn(self._go, orders, number, end, intended_s=at, first=first)
        maker.get()  # raises what kept it from making them all
        if stage.max_requests is not None:
            return at
        gevent.sleep(max(0.0, end - self.now()))
        return end

    def _make_ready(self, stage: OpenLoop | TraceReplay, ready: "Queue[Ready | None]") -> None:
        """Make the first bodies of a stage's arrivals, some ahead of their time: a burst's are there when it comes."""
        try:
            due = self.sources.due(stage, self.stage)
            for number, offset in deal(due, self.crew.index, self.crew.processes):
                orders = self.sources.script(self.stage, number)
                ready.put((number, offset, orders, self._prepare(orders[0])))
                gevent.sleep(0)  # each takes milliseconds: who waits for the loop goes first
        finally:
            ready.put(None)

    def _go(
        self, orders: Sequence[Order], user: int, end: float, *, intended_s: float | None, first: bytes | None = None
    ) -> bool:
        """Send a session's turns, or the one request that stands alone; return whether all were answered.

        A turn is intended when its user has thought after the answer before. A turn that was not answered ends the
        session, as there is nothing to go on from; so does the stage's end.
        """
        for order in orders:
            if order.turn:
                gevent.sleep(min(order.think_time_s, max(0.0, end - self.now())))
                if self.now() >= end or self.error:
                    return True
            begins = intended_s is not None and order is orders[0]
            body = first if begins and first is not None else self._prepare(order)
            at = intended_s if begins and intended_s is not None else self.now()
            flight = self.flights.get(order.request) or Flight(order, self.stage, user, intended_s=at)
            if not self._one(flight, body):
                return False
        return True

    def _prepare(self, order: Order) -> bytes:
        """Make a request's body, before it is due."""
        messages = self.prompts.messages(order) if order.own is None else self._own(order)
        return chat_body(self.spec.model, messages, order, self.spec.workload)

    def _own(self, order: Order) -> list[Message]:
        """Return the operator's own messages, after words of this request's own where no cache shall know them."""
        messages = list(self.sources.own[order.own or 0].messages)
        return self.prompts.made_fresh(messages, order) if self.spec.workload.fresh_prompts else messages

    def _one(self, flight: Flight, body: bytes) -> bool:
        """Make one request and record it, however it ends; return whether the server gave a whole answer."""
        self.flights[flight.order.request] = flight
        exchange = flight.exchange
        self.server.post(_PATH, body, timeout_s=self.spec.request_timeout_s, into=exchange)
        answer = exchange.answer()
        self._record(flight, answer)
        return answer.complete

    def _wanted(self, order: Order) -> dict[str, int | None]:
        """Return what the schedule knew of a prompt; of the operator's own, which one it is."""
        if order.own is not None:
            return {"prompt": order.own, "wanted_prompt_tokens": None}
        reusable = 0 if self.spec.workload.fresh_prompts else order.reusable_tokens
        return {"wanted_prompt_tokens": order.whole_prompt_tokens, "reusable_tokens": reusable}

    def _record(self, flight: Flight, answer: Answer) -> None:
        if self.flights.pop(flight.order.request, None) is None:
            return
        sample = sample_of(
            flight.exchange,
            answer,
            request=flight.order.request,
            stage=flight.stage,
            user=flight.user,
            worker=self.crew.index,
            intended_s=flight.intended_s,
            ended_s=self.now(),
            session=flight.order.session,
            turn=flight.order.turn,
            **self._wanted(flight.order),
            wanted_output_tokens=flight.order.output_tokens,
        )
        if sample.error:
            said = self.server.redact(sample.error) if flight.order.own is None else told_without_content(sample)
            sample = sample.model_copy(update={"error": said})
        try:
            self.recorder.sample(sample)
        except OSError as error:  # a full disk: without its samples the run is worth nothing
            self.error = self.error or error
        self.on_sample(sample)
