"""The reads of one HTTP response, each with its time -> an `Exchange`: what happened on the wire, and what was said.

The body of an event stream is folded into an answer as it comes, while its bytes are at hand, and let go: a thousand
streams would otherwise hold all their text. Any other body is kept whole.
"""

from dataclasses import dataclass, field
from typing import Literal

from geventhttpclient.response import HTTPResponse
from stream import Answer, AnswerReader

_OPENINGS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How the body of an event stream begins."""
_LONGEST_OPENING = 6
_KEPT = 400
"""Bytes of an event stream that are kept, to say what it was if it makes no sense."""


@dataclass
class Exchange:
    """What happened on the wire. `failure` is None if the response came to its end."""

    sent: float | None = None
    headers: float | None = None
    status: int | None = None
    reads: list[tuple[float, bytes]] = field(default_factory=list)
    """The body's reads; none of an event stream."""
    ended: float | None = None
    failure: str | None = None
    detail: str | None = None
    stamp: Literal["kernel", "user"] | None = None
    """Who stamped the reads; `user` if only one was not stamped by the kernel."""
    _reader: AnswerReader = field(default_factory=AnswerReader)
    _opening: bytes = b""

    @property
    def body(self) -> bytes:
        """The whole body; of an event stream its beginning."""
        return self._opening or b"".join(data for _, data in self.reads)

    @property
    def tokens(self) -> int:
        """How many token events came so far."""
        return len(self._reader.answer.token_times)

    def take(self, at: float, data: bytes) -> None:
        """Take a piece of the body."""
        if self._opening:
            if len(self._opening) < _KEPT:
                self._opening += data[:_KEPT]
            self._reader.feed(at, data)
            return
        self.reads.append((at, data))
        if self.status == 200 and len(self.reads) <= _LONGEST_OPENING:
            body = self.body
            if body.lstrip().startswith(_OPENINGS):
                self._opening = body
                self._feed()

    def answer(self) -> Answer:
        """Return what a response that is over said."""
        if self.status == 200:
            self._feed()  # what is no event stream: the reader says what is wrong with it
        return self._reader.close(self.ended or 0.0)

    def _feed(self) -> None:
        for at, data in self.reads:
            self._reader.feed(at, data)
        if self._opening:
            self.reads.clear()


class Response(HTTPResponse):
    """Reads one response into an exchange, in whatever pieces it comes."""

    def __init__(self, into: Exchange) -> None:
        super().__init__()
        self._into = into
        self._at = 0.0
        self.begun = False
        """Whether a byte came."""

    def take(self, at: float, data: bytes) -> bool:
        """Take what one read brought, with its time; return whether the response is over.

        No data is the connection's end. Raises ConnectionResetError if the response needed more, HTTPParseError if
        this is no HTTP.
        """
        into = self._into
        if not data:
            into.ended = at
            if self.headers_complete and "content-length" not in self and "transfer-encoding" not in self:
                return True  # the body's end is the connection's
            raise ConnectionResetError("the server closed the connection before the answer's end")
        self.begun, self._at = True, at
        self.feed(data)
        if self.message_complete and self.status_code >= 200:
            into.ended = at
            return True
        return False

    def _on_headers_complete(self) -> int | bool | None:
        if self.status_code >= 200:  # others are interim: the response follows
            self._into.headers, self._into.status = self._at, self.status_code
        return super()._on_headers_complete()

    def _on_body(self, buf: bytearray) -> None:
        self._into.take(self._at, bytes(buf))


class Framing:
    """A response's bytes so far -> how many may be read next without touching what was sent after them.

    The kernel stamps a read with the time of the last segment it took from. Where segments waited, a read that takes
    all of them would give the first token the last one's time. So until the first token is in, a read asks for no more
    than the rest of the chunk that has begun, or for the few bytes that say how long the next one is.
    """

    FIRST = 128
    """Most of a response's head; no chunk has begun."""
    _MORE_HEAD = 32
    _SIZE_LINE = 8

    def __init__(self) -> None:
        self._line = b""
        self._left = 0
        self._chunked: bool | None = None

    @property
    def bound(self) -> int:
        """How many bytes to ask for."""
        if self._chunked:
            return self._left or self._SIZE_LINE
        return self._MORE_HEAD if self._line else self.FIRST

    def feed(self, data: bytes) -> None:
        """Take what one read brought."""
        if self._chunked is None:
            head, end, data = (self._line + data).partition(b"\r\n\r\n")
            if not end:
                self._line = head
                return
            self._line = b""
            self._chunked = b"transfer-encoding: chunked" in head.lower()
        while data and self._chunked:
            if self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                data = data[taken:]
                continue
            line, end, data = (self._line + data).partition(b"\n")
            self._line = b"" if end else line
            if end:
                self._left = _size(line) + 2
                self._chunked = self._left > 2  # the last chunk, or no size: the parser will say


def _size(line: bytes) -> int:
    try:
        return max(0, int(line.split(b";")[0], 16))
    except ValueError:
        return 0
