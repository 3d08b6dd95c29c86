"""Connections with a response on its way -> their reads, each stamped by the kernel when its bytes came.

One epoll for all streams lives in gevent's hub: a read costs no switch between greenlets. As the kernel stamps the
bytes (SO_TIMESTAMPNS), it does not matter when they are read, so that many streams are read together every few
milliseconds. Where the kernel does not stamp (no Linux, TLS), a greenlet per connection reads and stamps at once.
"""

import socket
import sys
from collections.abc import Callable
from typing import Any

import gevent
from exchange import Exchange, Framing, Response
from gevent.event import Event
from gevent.monkey import get_original
from gevent.socket import socket as Connection  # noqa: N812 - every socket here is gevent's
from stamps import ANCILLARY_BYTES, SO_TIMESTAMPNS, StampClock

_READ = 65536
_EPOLLIN = 1
_MANY = 32
"""From so many streams on, they are read together after a nap. Fewer cost little each, and are read at once."""
_NAP_S = 0.002
_RESYNC_S = 1.0
_FAR_S = 0.05
"""A stamp so far from the time of its read shows that the wall clock was set, or this process late: look at once."""
_BOUNDED_READS = 64
"""After so many reads without a token the rest is read as it comes."""


class _Reading:
    """A response on its way."""

    __slots__ = ("connection", "exchange", "framing", "last", "over", "problem", "receive", "response", "small_reads")

    def __init__(self, connection: Connection, response: Response, exchange: Exchange) -> None:
        self.connection = connection
        self.receive = connection._sock.recvmsg  # noqa: SLF001 # gevent's own recvmsg would wait in a greenlet
        self.response, self.exchange = response, exchange
        self.framing: Framing | None = Framing()
        self.small_reads = 0
        self.last = 0.0
        self.over = Event()
        self.problem: Exception | None = None


class Reactor:
    """Reads every response of a process; one per process, made in the greenlets' own thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._epoll: Any = get_original("select", "epoll")() if sys.platform == "linux" else None
        self._readings: dict[int, _Reading] = {}
        if self._epoll is not None:
            self._stamps = StampClock(clock)
            self._keeper = get_original("socket", "socket")(socket.AF_INET, socket.SOCK_DGRAM)
            self._keeper.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # the kernel stamps while anyone wants it
            loop = gevent.get_hub().loop
            self._ready = loop.io(self._epoll.fileno(), 1)
            self._nap = loop.timer(_NAP_S, _NAP_S)
            self._resync = loop.timer(_RESYNC_S, _RESYNC_S, ref=False)
            self._resync.start(self._stamps.sync)

    def prepare(self, connection: Connection) -> bool:
        """Have the kernel stamp what comes on a connection; return whether it does. TLS hides the stamps."""
        if self._epoll is None or not hasattr(connection, "recvmsg") or hasattr(connection, "cipher"):
            return False
        try:
            connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError:
            return False
        return True

    def read(self, connection: Connection, response: Response, exchange: Exchange) -> None:
        """Read a response to its end on a connection that was prepared; blocks the calling greenlet only.

        Raises what the connection raised, or HTTPParseError.
        """
        reading = _Reading(connection, response, exchange)
        exchange.stamp = exchange.stamp or "kernel"
        number = connection.fileno()
        self._readings[number] = reading
        self._epoll.register(number, _EPOLLIN)
        if len(self._readings) == 1:
            self._ready.start(self._on_ready)
        try:
            reading.over.wait()
        finally:
            self._forget(number)
        if reading.problem:
            raise reading.problem

    def close(self) -> None:
        """Stop; nothing may be on its way any more."""
        if self._epoll is not None:
            for watcher in (self._ready, self._nap, self._resync):
                watcher.stop()
                watcher.close()
            self._epoll.close()
            self._keeper.close()

    def _forget(self, number: int) -> None:
        if self._readings.pop(number, None) is None:
            return
        self._epoll.unregister(number)
        if not self._readings:
            self._ready.stop()
            self._nap.stop()

    def _on_ready(self) -> None:
        self._drain()
        if len(self._readings) >= _MANY:
            self._ready.stop()
            self._nap.start(self._on_nap)

    def _on_nap(self) -> None:
        if not self._drain() and self._readings:
            self._nap.stop()
            self._ready.start(self._on_ready)

    def _drain(self) -> int:
        """Read what has come on every connection; return on how many something had."""
        ready = self._epoll.poll(0, max(1, len(self._readings)))
        now = self._clock()
        for number, _ in ready:
            reading = self._readings.get(number)
            if reading is None:
                continue
            try:
                over = self._read(reading, now)
            except Exception as problem:  # whatever it is, it belongs to the greenlet that waits
                reading.problem, over = problem, True
            if over:
                self._forget(number)
                reading.over.set()
        return len(ready)

    def _read(self, reading: _Reading, now: float) -> bool:
        """Read once; in small steps until the first token is in. Return whether the response is over."""
        framing = reading.framing
        while True:
            try:
                data, ancillary, _, _ = reading.receive(_READ if framing is None else framing.bound, ANCILLARY_BYTES)
            except BlockingIOError:
                return False
            at = self._time(reading, ancillary, now) if data else self._clock()
            if reading.response.take(at, data):
                return True
            if framing is None:
                return False
            framing.feed(data)
            reading.small_reads += 1
            if reading.exchange.tokens or reading.small_reads == _BOUNDED_READS:
                framing = reading.framing = None
                return False

    def _time(self, reading: _Reading, ancillary: list[Any], now: float) -> float:
        """Return when a read's bytes came: by the kernel's stamp, or now if there is none that can be true."""
        at = None
        if ancillary:
            stamp = ancillary[0][2]
            at = self._stamps.at(stamp)
            if not -_FAR_S < now - at < _FAR_S:
                self._stamps.sync()
                at = self._stamps.at(stamp)
                if at > self._clock() + _FAR_S:
                    at = None
        if at is None:
            reading.exchange.stamp, at = "user", self._clock()
        at = reading.last = max(at, reading.last)
        return at


def read_at_once(connection: Connection, response: Response, exchange: Exchange, clock: Callable[[], float]) -> None:
    """Read a response to its end in the calling greenlet, each read stamped when it returned.

    Raises what the connection raised, or HTTPParseError.
    """
    exchange.stamp = "user"
    while True:
        data = connection.recv(_READ)
        if response.take(clock(), data):
            return
