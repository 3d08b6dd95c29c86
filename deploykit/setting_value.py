"""The value of one vLLM setting: what it may be, and how one word of a command line or a variable says it."""

import json
import math
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue

MAX_DEPTH = 40
LARGEST = 2**63 - 1
_STRUCTURE = ("{", "[", '"')


class _NotJsonError(ValueError):
    """NaN and Infinity: Python reads them, JSON does not have them."""


def from_text(text: str) -> JsonValue:
    """Return what a word says: JSON if it is JSON, else the text itself.

    So `64`, `0.9`, `true`, `null`, `"64"` and `{"a": 1}` are a number, a number, a boolean, nothing, text and an
    object, and `on`, `1_000`, `0x10` and `auto` are text. What begins as an object, a list or quoted text must be whole.

    Raises:
        ValueError: begun JSON that does not end, or a value that `representable` refuses.

    """
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_not_json, parse_int=_int)
    except (json.JSONDecodeError, _NotJsonError) as error:
        if text.lstrip().startswith(_STRUCTURE):
            msg = f"it begins like JSON and is none: {error}"
            raise ValueError(msg) from None
        value = text
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    return representable(value)


def representable(value: JsonValue) -> JsonValue:
    """Return the value, or raise ValueError if JSON, YAML and UTF-8 cannot all hold it."""
    _check(value, 0)
    return value


SettingValue = Annotated[JsonValue, BeforeValidator(representable)]
"""A setting's value in an intent: any JSON that comes back as it was written."""

_TOO_DEEP = f"it has more than {MAX_DEPTH} levels in each other"


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)
    match value:
        case list():
            for part in value:
                _check(part, depth + 1)
        case dict():
            for key, part in value.items():
                _check_key(key)
                _check(part, depth + 1)
        case _:
            _check_scalar(value)


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        msg = f"the key `{key}` must be text: write it in quotes"
        raise ValueError(msg)  # noqa: TRY004 - pydantic wants a ValueError
    _check_text(key)


def _check_scalar(value: object) -> None:
    msg = ""
    match value:
        case bool() | None:
            pass
        case int():
            msg = "a whole number must fit into 64 bits" if abs(value) > LARGEST else ""
        case float():
            msg = "" if math.isfinite(value) else "a number must be finite, and small enough for 64 bits"
        case str():
            _check_text(value)
        case _:
            msg = f"{type(value).__name__} is no kind of value that JSON has"
    if msg:
        raise ValueError(msg)


def _check_text(text: str) -> None:
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):  # a byte that is no UTF-8, or half of a pair
        msg = "text must be UTF-8"
        raise ValueError(msg)
    if any((c < " " and c not in "\t\n") or c == "\x7f" for c in text):
        msg = "text must not hold control characters"
        raise ValueError(msg)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "a key stands twice in it"
        raise ValueError(msg)
    return found


def _int(digits: str) -> int:
    return int(digits) if len(digits) < 100 else LARGEST + 1  # Python itself refuses thousands of digits


def _not_json(name: str) -> None:
    raise _NotJsonError(name)
