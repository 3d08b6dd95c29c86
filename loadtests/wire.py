"""One HTTP exchange over a socket of our own -> every read with its time, taken before anything is parsed.

locust's clients hand on a body in blocks of a fixed size, each only once it is full: with events of some 280 bytes,
four tokens come out together and the first one late. Here the reactor takes what the kernel has, as the kernel stamped
it (`reactor.py`).
"""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import gevent
from exchange import Exchange, Response
from gevent import socket, ssl
from gevent.monkey import get_original
from geventhttpclient.response import HTTPParseError
from reactor import Reactor, read_at_once

__all__ = ["CutOff", "Exchange", "Server"]

_IDLE_S = 2.0
"""An idle connection is not used again after this: servers close theirs after some five seconds."""


class CutOff(gevent.GreenletExit):  # type: ignore[misc] # gevent is untyped
    """The run is over while this request still waits for its answer."""


class Server:
    """An HTTP server to send requests to; connections that are still good are used again.

    Args:
        base_url: http or https, without /v1.
        api_key: what callers must send, if anything.
        clock: tells seconds; all of an exchange's times are its.
        connect_timeout_s: for a connection alone.
        stamped: let the kernel stamp what comes, where it can.

    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None,
        clock: Callable[[], float],
        connect_timeout_s: float = 10,
        stamped: bool = True,
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError(f"`{base_url}` is not an http or https address")
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._host, self._port = url.hostname, url.port or (443 if self._tls else 80)
        self._path = url.path.rstrip("/")
        self._clock, self._connect_timeout_s, self._api_key = clock, connect_timeout_s, api_key
        self._stamped = stamped
        self._idle: list[tuple[float, socket.socket]] = []
        self._reactor: Reactor | None = None
        lines = [
            f"Host: {url.netloc.rpartition('@')[2]}",
            "Content-Type: application/json",
            "Accept-Encoding: identity",
        ]
        if api_key:
            lines.append(f"Authorization: Bearer {api_key}")
        self._fields = "\r\n".join(lines)

    def redact(self, text: str) -> str:
        """Return text without the API key: some servers repeat a key that they refuse."""
        return text.replace(self._api_key, "***") if self._api_key else text

    def post(self, path: str, body: bytes, *, timeout_s: float, into: Exchange) -> None:
        """Post a body and read the response to its end, into an exchange that the caller can see while it fills.

        A connection that the server closed while it was idle is replaced, once; nothing else is tried again.
        """
        head = f"POST {self._path}{path} HTTP/1.1\r\n{self._fields}\r\nContent-Length: {len(body)}\r\n\r\n"
        request = head.encode() + body
        timeout = gevent.Timeout(timeout_s)
        try:
            with timeout:
                if not self._attempt(request, into, reuse=True):
                    self._attempt(request, into, reuse=False)
        except gevent.Timeout as expired:
            if expired is not timeout:
                raise
            into.failure, into.detail = "timeout", f"no complete answer within {timeout_s:g} s"
        except CutOff:
            into.failure, into.detail = "cut_off", "still running when the run ended"
        except (OSError, HTTPParseError) as error:
            into.failure, into.detail = "connection_error", f"{type(error).__name__}: {error}"
        if into.ended is None or into.failure:
            into.ended = self._clock()

    def close(self) -> None:
        """Close the connections that are kept; no request may be on its way any more."""
        while self._idle:
            self._idle.pop()[1].close()
        if self._reactor is not None:
            self._reactor.close()
            self._reactor = None

    def _attempt(self, request: bytes, into: Exchange, *, reuse: bool) -> bool:
        """Return False if a connection used again turned out to be closed."""
        connection = self._take_idle() if reuse else None
        used_before = connection is not None
        if connection is None:
            into.sent = None
            connection = self._connect()
        if self._reactor is None:  # not before: a process that is forked needs one of its own
            self._reactor = Reactor(self._clock)
        keep, response = False, Response(into)
        try:
            stamped = self._stamped and self._reactor.prepare(connection)
            into.sent, into.ended, into.stamp = self._clock(), None, None
            try:
                connection.sendall(request)
                if stamped:
                    self._reactor.read(connection, response, into)
                else:
                    read_at_once(connection, response, into, self._clock)
            except (ConnectionResetError, BrokenPipeError):
                if response.begun or not used_before:
                    raise
                return False
            keep = response.message_complete and not response.should_close()
        finally:
            if keep:
                self._idle.append((time.monotonic(), connection))
            else:
                connection.close()
        return True

    def _take_idle(self) -> socket.socket | None:
        while self._idle:
            since, connection = self._idle.pop()
            fresh = time.monotonic() - since < _IDLE_S
            if fresh and not _readable(connection):  # readable while idle means closed
                return connection
            connection.close()
        return None

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), timeout=self._connect_timeout_s)
        # a large prompt's last segment would otherwise wait for the acknowledgement of the one before
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_hostname=self._host)
        connection.settimeout(None)
        return connection


def _readable(connection: socket.socket) -> bool:
    select = get_original("select", ["poll", "POLLIN"])  # gevent's poll would let other greenlets run
    poll = select[0]()  # unlike select.select it takes any descriptor number
    poll.register(connection, select[1])  # hang-ups and errors are told in any case
    return bool(poll.poll(0))
