"""A load -> a `Certificate`: what this generator adds to TTFT and ITL at that load, measured on a paced engine.

The engine runs in a process of its own and knows when it truly sent each token; the generator reads it as it reads any
server. What differs is the generator's doing.
"""

import contextlib
import itertools
import json
import math
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import gevent
from exchange import Exchange
from gevent import subprocess
from wire import Server

from deploykit.measuring.certificate import Certificate

_ANSWER_S = 1.0
"""About how long an answer lasts: requests are part of the load, though a small one."""
_TIMEOUT_S = 30
_OVERTIME_S = 15
"""Beyond the seconds asked for: then there is no certificate."""
_BODY = json.dumps({"stream": True, "messages": [{"role": "user", "content": "certify"}]}).encode()
_ENGINE = Path(__file__).with_name("paced_engine.py")


class CannotCertify(Exception):  # noqa: N818 - it names what happened
    """The paced engine did not answer as it should."""


@dataclass
class Reading:
    """What was measured of one answer; times are seconds of time.perf_counter()."""

    number: int
    sent: float
    tokens: list[float]
    coalesced: int
    stamp: str | None


@dataclass
class Load:
    """The answers that were read; from `since` to `until`, all streams were."""

    since: float
    until: float
    readings: list[Reading] = field(default_factory=list)
    failure: str | None = None


def certify(streams: int, events_per_s: float, seconds: float, *, stamped: bool = True) -> Certificate:
    """Read so many streams at once, with so many token events a second in all, for about so long.

    `stamped`: as the kernel stamps what comes, if it does; without, as this process reads it, which is what TLS leaves.
    Blocks the calling greenlet only. Raises CannotCertify if the engine can't be started, an answer fails or it takes
    far longer, ValueError for a load that is none.
    """
    if streams < 1 or events_per_s <= 0 or seconds <= 0:
        raise ValueError(f"{streams} streams with {events_per_s} events/s for {seconds} s are no load")
    itl_s = min(streams / events_per_s, seconds / 2)  # an answer has to end in time
    tokens = max(2, round(min(_ANSWER_S, seconds) / itl_s))
    command = [sys.executable, str(_ENGINE), repr(itl_s), str(tokens)]
    try:
        engine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        raise CannotCertify(f"the paced engine cannot be started: {error}") from error
    late = CannotCertify(f"the paced engine did not end within {seconds + _OVERTIME_S:g} s")
    try:
        _make_room(engine.pid)
        with gevent.Timeout(seconds + _OVERTIME_S, late):
            port = engine.stdout.readline().decode().strip()
            if not port:
                raise CannotCertify("the paced engine did not start")
            server = Server(f"http://127.0.0.1:{port}", api_key=None, clock=time.perf_counter, stamped=stamped)
            try:
                return _measure(server, streams, events_per_s, seconds)
            finally:
                server.close()
    finally:
        engine.kill()
        engine.wait()
        engine.stdin.close()
        engine.stdout.close()


def _make_room(engine: int) -> None:
    """Let the engine run where this process may not: a process that has a processor to itself hands that on."""
    with contextlib.suppress(OSError, AttributeError):  # only Linux can
        ours = os.sched_getaffinity(0)
        others = os.sched_getaffinity(os.getppid()) - ours
        if len(ours) == 1 and others:
            os.sched_setaffinity(engine, others)


def _measure(server: Server, streams: int, events_per_s: float, seconds: float) -> Certificate:
    began = time.perf_counter()
    spread = min(_ANSWER_S, seconds / 4)  # streams that begin together would end together, which no load does
    load = Load(began + spread, began + spread + seconds)
    greenlets = [gevent.spawn_later(spread * index / streams, _keep_asking, server, load) for index in range(streams)]
    try:
        gevent.joinall(greenlets)
    finally:
        gevent.killall(greenlets)
    if load.failure or not load.readings:
        raise CannotCertify(f"the paced engine failed: {load.failure or 'no answer came'}")
    truth = Exchange()
    server.post("/truth", b"", timeout_s=_TIMEOUT_S, into=truth)
    if truth.failure or truth.status != 200:
        raise CannotCertify(f"the paced engine does not tell its times: {truth.detail or truth.status}")
    return compare(load, json.loads(truth.body), streams=streams, wanted_events_per_s=events_per_s)


def _keep_asking(server: Server, load: Load) -> None:
    while time.perf_counter() < load.until and load.failure is None:
        exchange = Exchange()
        server.post("/v1/chat/completions", _BODY, timeout_s=_TIMEOUT_S, into=exchange)
        answer = exchange.answer()
        if not answer.complete or answer.usage is None or exchange.sent is None:
            load.failure = exchange.detail or f"HTTP {exchange.status}"
            return
        times = list(answer.token_times)
        load.readings.append(
            Reading(answer.usage.prompt_tokens, exchange.sent, times, answer.coalesced, exchange.stamp)
        )


def compare(load: Load, truth: list[list[int]], *, streams: int, wanted_events_per_s: float) -> Certificate:
    """Compare what was measured with the truth: of each answer, when its request came and its tokens went, in ns."""
    ttft_added, itl_added = [], []
    for one in load.readings:
        arrived, *sent = (at / 1e9 for at in truth[one.number])
        if len(sent) != len(one.tokens):
            raise CannotCertify(f"answer {one.number} had {len(sent)} tokens, {len(one.tokens)} were read")
        ttft_added.append((one.tokens[0] - one.sent) - (sent[0] - arrived))
        late = [seen - true for seen, true in zip(one.tokens, sent, strict=True)]
        itl_added += [abs(after - before) for before, after in itertools.pairwise(late)]
    events = [at for one in load.readings for at in one.tokens]
    seconds = load.until - load.since
    return Certificate(
        streams=streams,
        events_per_s=round(sum(load.since <= at < load.until for at in events) / seconds, 1),
        wanted_events_per_s=wanted_events_per_s,
        seconds=round(seconds, 3),
        responses=len(load.readings),
        ttft_added_p50_s=_quantile(ttft_added, 0.5),
        ttft_added_p99_s=_quantile(ttft_added, 0.99),
        itl_added_p50_s=_quantile(itl_added, 0.5),
        itl_added_p99_s=_quantile(itl_added, 0.99),
        coalesced_share=sum(one.coalesced for one in load.readings) / len(events),
        stamp="kernel" if all(one.stamp == "kernel" for one in load.readings) else "user",
    )


def _quantile(values: list[float], share: float) -> float:
    """Return the smallest value that this share of the values does not exceed."""
    return round(sorted(values)[max(0, math.ceil(share * len(values)) - 1)], 7)
