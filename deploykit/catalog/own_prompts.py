"""A file of the operator's own prompts -> requests; nothing of what a prompt says is ever in an error.

A line is `{"prompt": "..."}` or `{"messages": [{"role": "user", "content": "..."}]}`, with `max_tokens` if the answer's
length is to be bounded for this prompt alone.
"""

import json
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from pydantic import Field

from deploykit.base import Value
from deploykit.errors import CatalogError, Place

_KEYS = ("prompt", "messages", "max_tokens")


class PromptFacts(Value):
    """What was found in a file of prompts: written when it was read. No prompt is in it."""

    sha256: str
    prompts: int = Field(gt=0)


class OwnPrompts(Value):
    """Prompts that are sent as they stand in a file."""

    file: str = Field(min_length=1, description="JSON lines; a relative path begins at the workload's file.")
    order: Literal["file", "shuffled"] = Field(
        "file", description="As in the file, again and again; or in another order each time, drawn from the seed."
    )
    keep: bool = Field(False, description="Whether the run's folder gets a copy of the file.")
    facts: PromptFacts | None = Field(None, description="Written by the load test; null in a workload's file.")


class OwnPrompt(NamedTuple):
    """One prompt: the messages as they are sent."""

    messages: tuple[dict[str, Any], ...]
    max_tokens: int | None


def parse_prompts(lines: Iterable[str], *, file: str) -> tuple[OwnPrompt, ...]:
    """Return the prompts of a file's lines; CatalogError with the line for one that is none, or for no prompt at all."""
    found = tuple(_prompt(line, Place(file, number)) for number, line in enumerate(lines, 1) if line.strip())
    if not found:
        raise CatalogError("there is no prompt in the file", where=Place(file), hint=_EXAMPLE)
    return found


_EXAMPLE = 'each line is {"prompt": "..."} or {"messages": [{"role": "user", "content": "..."}]}, with "max_tokens" if you like'


def _prompt(line: str, where: Place) -> OwnPrompt:
    try:
        said = json.loads(line)
    except ValueError:  # its message may repeat the line
        raise CatalogError("the line is not JSON", where=where, hint=_EXAMPLE) from None
    if not isinstance(said, dict):
        raise CatalogError("the line is no JSON object", where=where, hint=_EXAMPLE)
    if unknown := sorted(set(said) - set(_KEYS)):
        raise CatalogError(
            f"a prompt has no key `{unknown[0][:40]}`",
            where=where,
            hint=f"it would not be sent: leave it out, for example with jq -c '{{{', '.join(_KEYS[1:])}}}'",
        )
    if ("prompt" in said) == ("messages" in said):
        raise CatalogError("the line needs one of `prompt` and `messages`", where=where, hint=_EXAMPLE)
    most = said.get("max_tokens")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise CatalogError("`max_tokens` is not a number of tokens above zero", where=where)
    return OwnPrompt(messages=_messages(said, where), max_tokens=most)


def _messages(said: dict[str, Any], where: Place) -> tuple[dict[str, Any], ...]:
    if "prompt" in said:
        if not isinstance(said["prompt"], str) or not said["prompt"]:
            raise CatalogError("`prompt` is not text", where=where, hint=_EXAMPLE)
        return ({"role": "user", "content": said["prompt"]},)
    messages = said["messages"]
    if not isinstance(messages, list) or not messages:
        raise CatalogError("`messages` is not a list of messages", where=where, hint=_EXAMPLE)
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str) or "content" not in message:
            raise CatalogError(f"message {number} has no `role` and `content`", where=where, hint=_EXAMPLE)
    return tuple(messages)
