"""One token event that was parsed -> what others like it look like, byte for byte, so that they need not be parsed.

A server writes the token events of one stream alike: all but the text is the same bytes. An event that has these bytes
around a JSON string that is well formed and not empty would parse to the same but for its text. That is proven when
the likeness is taken, by parsing the bytes around another text; an event that differs anywhere is parsed as ever.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["reasoning", "answer"]

KIND_OF_KEY: dict[str, Kind] = {
    "content": "answer",
    "reasoning": "reasoning",
    "reasoning_content": "reasoning",
    "refusal": "answer",
}
"""What the text under each of a delta's keys is."""

_STRING = rb'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})'
_text = re.compile(_STRING + rb"+").fullmatch
_string = re.compile(_STRING + rb"*").match
_OTHER = "~"


@dataclass(frozen=True, slots=True)
class Likeness:
    """The bytes before and after the text of a token event's data."""

    kind: Kind
    head: bytes
    tail: bytes

    def fits(self, data: bytes, before: int = 0, after: int = 0) -> bool:
        """Return whether an event's data, without so many bytes before and after it, is certainly alike."""
        start, end = before + len(self.head), len(data) - after - len(self.tail)
        return (
            start < end
            and data.startswith(self.head, before)
            and data.startswith(self.tail, end)
            and _text(data, start, end) is not None
            and (data.isascii() or _is_text(data[start:end]))
        )


def likeness(data: bytes, event: dict[str, Any]) -> Likeness | None:
    """Return the likeness of an event that was parsed from these bytes, or None if it is no plain token event.

    Plain is: one text, no tool call, no finish reason, no usage, no error. The event is left as it was.
    """
    place = None if event.get("error") or event.get("usage") else _place(event)
    if place is None:
        return None
    holder, key, kind = place
    found = re.search(rb'"%b": ?"' % key.encode(), data)
    end = _string(data, found.end()) if found else None
    if found is None or end is None:
        return None
    made = Likeness(kind, data[: found.end()], data[end.end() :])
    text, holder[key] = holder[key], _OTHER
    try:
        proven = json.loads(made.head + _OTHER.encode() + made.tail) == event
    except ValueError:
        proven = False
    holder[key] = text
    return made if proven else None


def _place(event: dict[str, Any]) -> tuple[dict[str, Any], str, Kind] | None:
    """Return where an event's only text is."""
    choice = event["choices"][0]
    if choice.get("finish_reason"):
        return None
    if isinstance(choice.get("text"), str) and choice["text"]:
        return None if choice.get("delta") else (choice, "text", "answer")
    delta = choice.get("delta")
    if not isinstance(delta, dict) or delta.get("tool_calls"):
        return None
    keys = [key for key in KIND_OF_KEY if delta.get(key)]
    if len(keys) != 1 or not isinstance(delta[keys[0]], str):
        return None
    return delta, keys[0], KIND_OF_KEY[keys[0]]


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")  # as json.loads reads bytes
    except UnicodeDecodeError:
        return False
    return True
