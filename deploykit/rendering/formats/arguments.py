"""Lines of vLLM's config file in, the same as arguments of `vllm serve` out, as vLLM itself turns the file into them."""

import json
from collections.abc import Iterable

from pydantic import JsonValue

from deploykit.rendering.flag_lint import ConfigLine


def arguments(lines: Iterable[ConfigLine]) -> tuple[tuple[str, ...], ...]:
    """Return one tuple of words per setting, the model first: `vllm serve MODEL` warns of `--model`."""
    chosen = tuple(lines)
    model = [(str(line.value),) for line in chosen if line.key == "model"]
    return (*model, *(_words(line) for line in chosen if line.key != "model"))


def _words(line: ConfigLine) -> tuple[str, ...]:
    flag = f"--{line.key}"
    if line.value is True:
        return (flag,)
    if isinstance(line.value, list):
        return (flag, *(_text(item) for item in line.value))
    text = _text(line.value)
    return (f"{flag}={text}",) if text.startswith("-") else (flag, text)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
