"""Bytes of a streamed chat completion, with the time of each read -> one `Answer`: when tokens came, how it ended.

Nothing here looks at a clock or a socket: the reader stamps every read before anything is parsed, and parsing may
wait. Events that are certainly like one that was parsed before are not parsed again (`likeness.py`); all others are.
"""

import json
from array import array
from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass, field
from typing import Any

from likeness import KIND_OF_KEY, Kind, Likeness, likeness


@dataclass(frozen=True)
class Usage:
    """The server's own token counts."""

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


def _times() -> MutableSequence[float]:
    return array("d")  # eight bytes a token, where a list takes four times that


@dataclass
class Answer:
    """What a stream said.

    A token event is an event whose delta holds text: an answer's, or reasoning's under either of its two names, or a
    tool call's. Role-only and empty deltas, comments and the usage event are not token events. An event's time is the
    time of the read that completed it; events completed by one read share it, and all token events of a time but its
    first are counted as coalesced.
    """

    first_event: float | None = None
    """The first event of any kind but [DONE]; comments are no events."""
    first_reasoning: float | None = None
    first_answer: float | None = None
    token_times: MutableSequence[float] = field(default_factory=_times)
    coalesced: int = 0
    usage: Usage | None = None
    usage_at: float | None = None
    finish_reason: str | None = None
    done: bool = False
    done_at: float | None = None
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
        self.between = True
        """Whether the bytes so far end with an event's end."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that these bytes completed."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = [event for line in lines if (event := self._line(line)) is not None]
        self.between = not self._rest and not self._data
        return events

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
    """Folds a stream's reads into an `Answer`.

    `exact` parses every event as JSON; it says the same and takes several times as long.
    """

    def __init__(self, *, exact: bool = False) -> None:
        self._events = EventReader()
        self.answer = Answer()
        self._exact = exact
        self._like: Likeness | None = None
        self._parsed, self._look_at, self._paid_at = 0, 1, 0

    def feed(self, at: float, data: bytes) -> None:
        """Take what one read brought, with its time."""
        like = self._like
        alone = like and self._events.between and data[:6] == b"data: " and data[-2:] == b"\n\n"
        if alone and like and like.fits(data, 6, 2):  # the usual case: one read, one event, one token
            self._token(at)
            return
        for event in self._events.feed(data):
            self._event(at, event)

    def close(self, at: float) -> Answer:
        """Take the stream's end."""
        for event in self._events.close():
            self._event(at, event)
        return self.answer

    def _token(self, at: float) -> None:
        times = self.answer.token_times
        if times and times[-1] == at:
            self.answer.coalesced += 1
        times.append(at)

    def _event(self, at: float, data: bytes) -> None:
        """Take one event."""
        answer = self.answer
        if self._like is not None and self._like.fits(data):
            self._token(at)
        elif data == b"[DONE]":
            answer.done = True
            answer.done_at = at if answer.done_at is None else answer.done_at
        else:
            if answer.first_event is None:
                answer.first_event = at
            self._parse(at, data)

    def _parse(self, at: float, data: bytes) -> None:
        answer = self.answer
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            answer.malformed = answer.malformed or shorten(data)
            return
        if event.get("error"):
            answer.error = answer.error or error_message(event)
            return
        if usage := _usage(event.get("usage")):
            answer.usage, answer.usage_at = usage, at
        choices = event.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._choice(at, choices[0], data, event)

    def _choice(self, at: float, choice: dict[str, Any], data: bytes, event: dict[str, Any]) -> None:
        answer = self.answer
        reason = choice.get("finish_reason")
        if reason and isinstance(reason, str):
            answer.finish_reason = shorten(reason.encode(errors="replace"))
        kinds = _kinds(choice)
        if not kinds:
            return
        self._token(at)
        if "reasoning" in kinds and answer.first_reasoning is None:
            answer.first_reasoning = at
        if "answer" in kinds and answer.first_answer is None:
            answer.first_answer = at
        self._learn(data, event)

    def _learn(self, data: bytes, event: dict[str, Any]) -> None:
        """Take this event's likeness; ever more rarely while likenesses do not pay, as where no two events are alike."""
        self._parsed += 1
        if self._exact:
            return
        spared = len(self.answer.token_times) - self._parsed
        if spared > self._paid_at or self._parsed >= self._look_at:
            self._paid_at, self._look_at = spared, self._parsed * 2
            self._like = likeness(data, event) or self._like


def read_answer(reads: Iterable[tuple[float, bytes]]) -> Answer:
    """Return the answer that these reads hold."""
    reader, at = AnswerReader(), 0.0
    for at, data in reads:
        reader.feed(at, data)
    return reader.close(at)


def error_message(body: object) -> str:
    """Return what an error body says, in whichever of the usual shapes it has."""
    while isinstance(body, dict):
        said = next((body[key] for key in ("error", "message", "detail") if body.get(key)), None)
        if said is None:
            break
        body = said
    return shorten(body.encode(errors="replace") if isinstance(body, str) else json.dumps(body).encode())


def body_message(body: bytes) -> str:
    """Return what the body of an HTTP error says."""
    try:
        return error_message(json.loads(body))
    except (ValueError, RecursionError):
        return shorten(body)


def shorten(data: bytes) -> str:
    """Return bytes as one line of at most 200 characters."""
    text = " ".join(data.decode(errors="replace").split())
    return text if len(text) <= 200 else text[:199] + "…"


def _kinds(choice: dict[str, Any]) -> set[Kind]:
    """Return what kinds of text a choice carries."""
    if choice.get("text"):  # /v1/completions
        return {"answer"}
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return set()
    kinds: set[Kind] = {kind for key, kind in KIND_OF_KEY.items() if delta.get(key)}
    if delta.get("tool_calls"):
        kinds.add("answer")
    return kinds


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
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
