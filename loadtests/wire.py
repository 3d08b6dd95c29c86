"""One HTTP exchange over a socket of our own -> every read with its time, taken before anything is parsed.

locust's clients hand on a body in blocks of a fixed size, each only once it is full: with events of some 280 bytes,
four tokens come out together and the first one late. Here a read returns what the kernel has, and is stamped at once.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import gevent
from geventhttpclient.response import HTTPParseError, HTTPResponse

_READ = 65536
_IDLE_S = 2.0
"""An idle connection is not used again after this: servers close theirs after some five seconds."""


class CutOff(gevent.GreenletExit):
    """The run is over while this request still waits for its answer."""


class _Message(HTTPResponse):  # type: ignore[misc] # the parser's class is untyped
    """Collects a response's body as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def _on_body(self, data: bytes | bytearray) -> None:
        self.pieces.append(bytes(data))

    def take(self) -> bytes:
        """Return the body bytes that came since the last call."""
        body = b"".join(self.pieces)
        self.pieces.clear()
        return body


@dataclass
class Exchange:
    """What happened on the wire. `failure` is None if the response came to its end."""

    sent: float | None = None
    headers: float | None = None
    status: int | None = None
    reads: list[tuple[float, bytes]] = field(default_factory=list)
    ended: float | None = None
    failure: str | None = None
    detail: str | None = None

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(data for _, data in self.reads)


class Server:
    """An HTTP server to send requests to; connections that are still good are used again."""

    def __init__(
        self, base_url: str, *, api_key: str | None, clock: Callable[[], float], connect_timeout_s: float = 10
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError(f"`{base_url}` is not an http or https address")
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._host, self._port = url.hostname, url.port or (443 if self._tls else 80)
        self._path = url.path.rstrip("/")
        self._clock, self._connect_timeout_s, self._api_key = clock, connect_timeout_s, api_key
        self._idle: list[tuple[float, socket.socket]] = []
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
        into.ended = self._clock()

    def _attempt(self, request: bytes, into: Exchange, *, reuse: bool) -> bool:
        """Return False if a connection used again turned out to be closed."""
        connection = self._take_idle() if reuse else None
        used_before = connection is not None
        if connection is None:
            into.sent = None
            connection = self._connect()
        keep = False
        try:
            into.sent = self._clock()
            try:
                connection.sendall(request)
                first = connection.recv(_READ)
            except (ConnectionResetError, BrokenPipeError):
                if not used_before:
                    raise
                return False
            if not first and used_before:
                return False
            keep = self._read(connection, first, into)
        finally:
            if keep:
                self._idle.append((time.monotonic(), connection))
            else:
                connection.close()
        return True

    def _read(self, connection: socket.socket, data: bytes, into: Exchange) -> bool:
        """Read a response to its end; return whether the connection can be used again."""
        message = _Message()
        while True:
            at = self._clock()
            if not data:
                if message.headers_complete and "content-length" not in message and "transfer-encoding" not in message:
                    return False  # the body's end is the connection's
                raise ConnectionResetError("the server closed the connection before the answer's end")
            message.feed(data)
            if into.headers is None and message.headers_complete:
                into.headers, into.status = at, message.status_code
            if body := message.take():
                into.reads.append((at, body))
            if message.message_complete and message.status_code >= 200:
                return not message.should_close()
            data = connection.recv(_READ)

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
    poll = select.poll()  # unlike select.select it takes any descriptor number
    poll.register(connection, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
