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
    if isinstance(got, dict) and got.keys() == {"enum", "value"}:
        return meant == got["value"] or (isinstance(meant, str) and meant.lower() == got["enum"].lower())
    if isinstance(meant, dict):
        return isinstance(got, dict) and all(key in got and agrees(value, got[key]) for key, value in meant.items())
    if isinstance(meant, list):
        return isinstance(got, list) and len(meant) == len(got) and all(map(agrees, meant, got))
    if isinstance(meant, str) and isinstance(got, list | dict):
        return _agrees_as_json(meant, got)
    return meant is got if isinstance(meant, bool) or isinstance(got, bool) else bool(meant == got)


def _agrees_as_json(text: str, got: list[Any] | dict[str, Any]) -> bool:
    """Whether text is the JSON of what was understood, or the one entry of a list."""
    try:
        meant = json.loads(text)
    except json.JSONDecodeError:
        return got == [text]
    return agrees(meant, got)
