"""An engine that is known: it answers chat completions on a schedule and keeps when it truly sent each token.

`python paced_engine.py ITL_S TOKENS` prints its port and serves until its standard input ends. The first token comes one
ITL after the request. The prompt tokens of an answer's usage are the answer's own number; a POST to /truth gives, for
each number, when its request came and when each of its tokens was sent, in nanoseconds of time.perf_counter().
"""

import heapq
import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

from stamps import ANCILLARY_BYTES, SO_TIMESTAMPNS, StampClock

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_RESYNC_S = 1.0
_TURN = 64
"""Tokens sent before the next look at what has come."""


@dataclass(order=True)
class _Answer:
    """An answer on its way, in the order of what is due next."""

    due: float
    number: int
    connection: socket.socket = field(compare=False)
    sent: int = field(default=0, compare=False)


class PacedEngine:
    """Serves on a free port of this machine.

    Args:
        itl_s: seconds between tokens.
        tokens: how many an answer has, whatever is asked for.

    """

    def __init__(self, itl_s: float, tokens: int) -> None:
        self._itl_s, self._tokens = itl_s, tokens
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stamps = StampClock(time.perf_counter)
        self._partial: dict[socket.socket, bytes] = {}
        self._due: list[_Answer] = []
        self._truth: list[list[int]] = []

    def serve(self, until_closed: int) -> None:
        """Serve until the other end of this descriptor is closed."""
        self._selector.register(until_closed, selectors.EVENT_READ)
        resync = time.perf_counter()
        while True:
            now = time.perf_counter()
            if now >= resync:
                self._stamps.sync()
                resync = now + _RESYNC_S
            wait = min(self._due[0].due if self._due else resync, resync) - now
            for key, _ in self._selector.select(max(0.0, wait)):
                if key.fileobj == until_closed:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._receive(key.fileobj)
            self._send_due()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._partial[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, connection: socket.socket) -> None:
        try:
            data, ancillary, _, _ = connection.recvmsg(65536, ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        if not data:
            self._selector.unregister(connection)
            del self._partial[connection]
            connection.close()
            return
        at = self._stamps.at(ancillary[0][2]) if ancillary else time.perf_counter()
        request = self._partial[connection] + data
        head, end, body = request.partition(b"\r\n\r\n")
        whole = bool(end) and len(body) >= _length(head)
        self._partial[connection] = b"" if whole else request
        if not whole:
            return
        if head.startswith(b"POST /truth "):
            self._tell(connection)
        else:
            self._truth.append([round(at * 1e9)])
            heapq.heappush(self._due, _Answer(at + self._itl_s, len(self._truth) - 1, connection))

    def _tell(self, connection: socket.socket) -> None:
        body = json.dumps(self._truth, separators=(",", ":")).encode()
        connection.settimeout(None)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        connection.settimeout(0)

    def _send_due(self) -> None:
        for _ in range(_TURN):
            if not self._due or self._due[0].due > time.perf_counter():
                return
            answer = self._due[0]
            if self._send(answer):
                answer.due += self._itl_s
                heapq.heapreplace(self._due, answer)
            else:
                heapq.heappop(self._due)

    def _send(self, answer: _Answer) -> bool:
        """Send an answer's next token; return whether it goes on."""
        answer.sent += 1
        last = answer.sent == self._tokens
        data = _event(answer.number, f" tok{answer.sent}", "length" if last else None)
        if answer.sent == 1:
            data = _HEAD + data
        if last:
            usage = {"prompt_tokens": answer.number, "completion_tokens": self._tokens}
            data += _chunk(json.dumps({"choices": [], "usage": usage}).encode()) + _chunk(b"[DONE]") + b"0\r\n\r\n"
        self._truth[answer.number].append(time.perf_counter_ns())
        try:
            whole = answer.connection.send(data) == len(data)
        except OSError:
            whole = False
        if not whole and answer.connection in self._partial:  # nobody reads, or nobody is there: it is not repeated
            answer.connection.shutdown(socket.SHUT_RDWR)
        return whole and not last


def _event(number: int, text: str, finish: str | None) -> bytes:
    """As vLLM writes it: its length is part of what a reader has to do."""
    reason = f'"{finish}"' if finish else "null"
    return _chunk(
        f'{{"id":"chatcmpl-{number:032x}","object":"chat.completion.chunk","created":1790000000,"model":"paced",'
        f'"choices":[{{"index":0,"delta":{{"content":"{text}"}},"logprobs":null,"finish_reason":{reason},'
        f'"token_ids":null}}]}}'.encode()
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\ndata: %b\n\n\r\n" % (len(data) + 8, data)


def _length(head: bytes) -> int:
    fields = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in fields if line.startswith(b"content-length:")), 0)


if __name__ == "__main__":
    engine = PacedEngine(float(sys.argv[1]), int(sys.argv[2]))
    print(engine.port, flush=True)  # noqa: T201 - the one thing that its starter reads
    engine.serve(sys.stdin.fileno())
