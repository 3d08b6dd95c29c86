"""Bytes of a streamed chat completion, with the time of each read -> one `Answer`: when tokens came, how it ended.

Nothing here looks at a clock or a socket: the reader stamps every read before anything is parsed, and parsing may
wait until the stream is over.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_TEXT_KEYS = ("content", "reasoning", "reasoning_content", "refusal")


@dataclass(frozen=True)
class Usage:
    """The server's own token counts."""

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass
class Answer:
    """What a stream said.

    A token event is an event whose delta holds text: an answer's, or reasoning's under either of its two names, or a
    tool call's. Role-only and empty deltas, comments and the usage event are not token events. An event's time is the
    time of the read that completed it; events completed by one read share it, and all token events of a read but its
    first are counted as coalesced.
    """

    token_times: list[float] = field(default_factory=list)
    coalesced: int = 0
    usage: Usage | None = None
    finish_reason: str | None = None
    done: bool = False
    error: str | None = None
    """What the server reported inside the stream."""
    malformed: str | None = None
    """The first event that could not be read."""

    @property
    def complete(self) -> bool:
        """Whether the answer came whole: a finish reason, [DONE], and no error."""
        return self.done and self.finish_reason is not None and self.error is None and self.malformed is None


class EventReader:
    """Splits a byte stream into the data of server-sent events; however the bytes are cut, the events are the same."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that these bytes completed."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for line in lines if (event := self._line(line)) is not None]

    def close(self) -> list[bytes]:
        """Return the last event where the stream ended without its blank line, as some servers end [DONE]."""
        last = [self._line(self._rest), self._line(b"")]
        self._rest = b""
        return [event for event in last if event is not None]

    def _line(self, line: bytes) -> bytes | None:
        line = line.removesuffix(b"\r")
        if not line:
            event, self._data = b"\n".join(self._data), []
            return event or None
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        return None  # a comment (a proxy's keep-alive), or a field that chat completions do not use


class AnswerReader:
    """Folds a stream's reads into an `Answer`."""

    def __init__(self) -> None:
        self._events = EventReader()
        self.answer = Answer()

    def feed(self, at: float, data: bytes) -> None:
        """Take what one read brought, with its time."""
        self._fold(at, self._events.feed(data))

    def close(self, at: float) -> Answer:
        """Take the stream's end."""
        self._fold(at, self._events.close())
        return self.answer

    def _fold(self, at: float, events: list[bytes]) -> None:
        tokens = sum(self._event(event) for event in events)
        self.answer.token_times += [at] * tokens
        self.answer.coalesced += max(0, tokens - 1)

    def _event(self, data: bytes) -> bool:
        """Take one event; return whether it carried text."""
        answer = self.answer
        if data == b"[DONE]":
            answer.done = True
            return False
        try:
            event = json.loads(data)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            answer.malformed = answer.malformed or shorten(data)
            return False
        if event.get("error"):
            answer.error = answer.error or error_message(event)
            return False
        if usage := _usage(event.get("usage")):
            answer.usage = usage
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return False
        answer.finish_reason = choices[0].get("finish_reason") or answer.finish_reason
        return _has_text(choices[0])


def read_answer(reads: Iterable[tuple[float, bytes]]) -> Answer:
    """Return the answer that these reads hold."""
    reader, at = AnswerReader(), 0.0
    for at, data in reads:
        reader.feed(at, data)
    return reader.close(at)


def error_message(body: object) -> str:
    """Return what an error body says, in whichever of the usual shapes it has."""
    if isinstance(body, dict):
        for key in ("error", "message", "detail"):
            if body.get(key):
                return error_message(body[key])
    return shorten(body.encode() if isinstance(body, str) else json.dumps(body).encode())


def body_message(body: bytes) -> str:
    """Return what the body of an HTTP error says."""
    try:
        return error_message(json.loads(body))
    except ValueError:
        return shorten(body)


def shorten(data: bytes) -> str:
    """Return bytes as one line of at most 200 characters."""
    text = " ".join(data.decode(errors="replace").split())
    return text if len(text) <= 200 else text[:199] + "…"


def _has_text(choice: dict[str, Any]) -> bool:
    if choice.get("text"):  # /v1/completions
        return True
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return False
    return any(delta.get(key) for key in _TEXT_KEYS) or bool(delta.get("tool_calls"))


def _usage(data: object) -> Usage | None:
    """Read a usage block; one without both counts is as good as none."""
    if not isinstance(data, dict):
        return None
    prompt, output = _count(data.get("prompt_tokens")), _count(data.get("completion_tokens"))
    if prompt is None or output is None:
        return None
    return Usage(
        prompt, output, _detail(data, "prompt", "cached_tokens"), _detail(data, "completion", "reasoning_tokens")
    )


def _detail(usage: dict[str, Any], kind: str, name: str) -> int | None:
    details = usage.get(f"{kind}_tokens_details")
    return _count(details.get(name)) if isinstance(details, dict) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
