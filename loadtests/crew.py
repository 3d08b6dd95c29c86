"""The processes of one load test, kept together over locust's own messages: one zero, one calibration, one stage at a time.

The director lives in locust's master, or beside the only process where there is one. Every process says when it is
ready and when it has stopped sending and drained a stage; the director says from which moment on the next stage runs.
Requests and records never pass through it.
"""

import datetime as dt
import os
import time
from typing import Any

import gevent
from gevent.event import AsyncResult
from locust.env import Environment
from locust.rpc.protocol import Message
from locust.runners import LocalRunner

from deploykit.measuring.samples import Calibration

_LEAD_S = 0.2
"""Between the word and the moment it names: longer than a message takes, on one machine or to another."""
_ALONE_LEAD_S = 0.01
_PINGS = 20


class Director:
    """Decides when each stage begins. It never waits: each message moves it."""

    def __init__(self, environment: Environment, processes: int, stages: int) -> None:
        self._environment, self._processes, self._stages = environment, processes, stages
        self._lead_s = _ALONE_LEAD_S if isinstance(environment.runner, LocalRunner) else _LEAD_S
        self._zero, self._started_at = time.perf_counter(), dt.datetime.now(dt.UTC)
        self._calibration: dict[str, Any] | None = None
        self._at: dict[str, set[int]] = {}
        for name, listener in {
            "deploykit-ping": self._ping,
            "deploykit-here": self._here,
            "deploykit-ready": self._ready,
            "deploykit-over": self._over,
            "deploykit-end": self._end,
        }.items():
            environment.runner.register_message(name, listener)

    def _say(self, name: str, data: dict[str, Any], client_id: str | None = None) -> None:
        self._environment.runner.send_message(name, data, client_id)

    def _all(self, what: str, process: int) -> bool:
        """Note that a process is so far; return whether it was the last one."""
        arrived = self._at.setdefault(what, set())
        arrived.add(process)
        return len(arrived) == self._processes

    def _ping(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        self._say("deploykit-pong", {"number": msg.data["number"], "at": time.perf_counter()}, msg.node_id)

    def _here(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        if self._all("here", msg.data["process"]):
            self._say("deploykit-go", {})

    def _ready(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        self._calibration = msg.data["calibration"] or self._calibration
        if self._all("ready", msg.data["process"]):
            told = {"zero": self._zero, "started_at": self._started_at.isoformat(), "calibration": self._calibration}
            self._say("deploykit-begin", told)
            self._stage(0)

    def _over(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        index = msg.data["stage"]
        if self._all(f"stage {index}", msg.data["process"]) and index + 1 < self._stages:
            self._stage(index + 1)

    def _stage(self, index: int) -> None:
        self._say("deploykit-stage", {"stage": index, "at": time.perf_counter() - self._zero + self._lead_s})

    def _end(self, environment: Environment, msg: Message, **_: object) -> None:
        """End locust when every process is through, or one cannot go on."""
        if self._all("end", msg.data["process"]) or msg.data["failed"]:
            gevent.spawn(environment.runner.quit)


class Crew:
    """What one process knows of the others."""

    def __init__(self, environment: Environment, processes: int) -> None:
        self._environment, self.processes = environment, processes
        self._go, self._begin = AsyncResult(), AsyncResult()
        self._starts: dict[int, AsyncResult] = {}
        self._pongs: dict[int, tuple[float, float]] = {}
        self.clock_offset_s, self.clock_error_s = 0.0, 0.0
        runner = environment.runner
        runner.register_message("deploykit-go", lambda **_: self._go.set(True))
        runner.register_message("deploykit-begin", lambda msg, **_: self._begin.set(msg.data))
        runner.register_message("deploykit-stage", lambda msg, **_: self._start(msg.data["stage"]).set(msg.data["at"]))
        runner.register_message("deploykit-pong", self._pong)

    @property
    def index(self) -> int:
        """The number of this process, from 0."""
        return int(self._environment.runner.worker_index)

    def meet(self) -> None:
        """Wait until all processes are here."""
        self._environment.runner.send_message("deploykit-here", {"process": self.index})
        self._go.get()

    def ready(self, calibration: Calibration | None) -> tuple[float, dt.datetime, Calibration]:
        """Say that this process is ready; return the common zero on this machine's clock, its date, and the calibration."""
        if os.environ.get("DEPLOYKIT_LOADTEST_REMOTE"):
            self._compare_clocks()
        found = calibration.as_data() if calibration else None
        self._environment.runner.send_message("deploykit-ready", {"process": self.index, "calibration": found})
        told = self._begin.get()
        started_at = dt.datetime.fromisoformat(told["started_at"])
        return told["zero"] - self.clock_offset_s, started_at, Calibration.model_validate(told["calibration"])

    def start_of(self, stage: int) -> float:
        """Wait for the word; return when a stage begins, in seconds since the common zero."""
        return float(self._start(stage).get())

    def over(self, stage: int) -> None:
        """Say that this process has sent and drained its part of a stage."""
        self._environment.runner.send_message("deploykit-over", {"process": self.index, "stage": stage})

    def end(self, *, failed: bool = False) -> None:
        """Say that this process is through, or cannot go on."""
        self._environment.runner.send_message("deploykit-end", {"process": self.index, "failed": failed})

    def _start(self, stage: int) -> AsyncResult:
        return self._starts.setdefault(stage, AsyncResult())

    def _pong(self, msg: Message, **_: object) -> None:
        self._pongs[msg.data["number"]] = (msg.data["at"], time.perf_counter())

    def _compare_clocks(self) -> None:
        """Learn how far the director's clock is ahead of this machine's, from the quickest of some round trips.

        The quickest trip bounds the error by half of its length (Cristian, 1989).
        """
        best = float("inf")
        for number in range(_PINGS):
            sent = time.perf_counter()
            self._environment.runner.send_message("deploykit-ping", {"number": number})
            while number not in self._pongs and time.perf_counter() - sent < 1:
                gevent.sleep(0.001)
            if number in self._pongs:
                there, back = self._pongs[number]
                if back - sent < best:
                    best = back - sent
                    self.clock_offset_s, self.clock_error_s = there - (sent + back) / 2, best / 2
