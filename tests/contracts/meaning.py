"""What a config file means, and where vLLM's parser understood something else. Pure, so it is tested without vLLM."""

import json
from typing import Any


def misunderstood(meant: dict[str, Any], parsed: dict[str, Any]) -> list[str]:
    """Return one sentence per setting that did not arrive as meant; `no-x: true` means that `x` is off."""
    if "refused" in parsed:
        return [f"the parser refused the file: {parsed['refused'].strip()}"]
    namespace = parsed["namespace"]
    found = []
    for key, value in meant.items():
        dest, wanted = key.replace("-", "_"), value
        if dest not in namespace and dest.startswith("no_") and value is True:
            dest, wanted = dest.removeprefix("no_"), False
        if dest not in namespace:
            found.append(f"`{key}`: there is no such setting in the parsed arguments")
        elif not agrees(wanted, namespace[dest]):
            found.append(f"`{key}`: meant {wanted!r}, understood {namespace[dest]!r}")
    return found


def agrees(meant: Any, got: Any) -> bool:
    """Whether a parsed value is what was meant; of a mapping, the keys that were given must agree.

    An enum agrees with its value and with its name in any case, as on the command line.
    """
    match meant, got:
        case _, {"enum": name, "value": value}:
            return bool(meant == value or (isinstance(meant, str) and meant.lower() == name.lower()))
        case dict(), _:
            return isinstance(got, dict) and all(key in got and agrees(value, got[key]) for key, value in meant.items())
        case list(), _:
            return isinstance(got, list) and len(meant) == len(got) and all(map(agrees, meant, got))
        case str(), list() | dict():
            return agrees_as_text(meant, got)
        case (bool(), _) | (_, bool()):
            return meant is got
    return bool(meant == got)


def agrees_as_text(meant: str, got: Any) -> bool:
    """Whether text became what it says as JSON, or the one item of a list."""
    try:
        return agrees(json.loads(meant), got)
    except json.JSONDecodeError:
        return bool(got == [meant])
