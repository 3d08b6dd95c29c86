"""Environment choices in, a file out that systemd's EnvironmentFile= and a POSIX shell read as the same values."""

import re
from collections.abc import Iterable

from deploykit.errors import Place, UnsupportedSettingError
from deploykit.planning.plan import Choice
from deploykit.rendering.serve_config import comment

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_SECRET = re.compile(r"(^|_)(API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|ACCESS_KEY(_ID)?|PRIVATE_KEY)$")
# Inside double quotes a backslash hides exactly these four from systemd and from a shell alike.
_ESCAPED = re.compile(r'(["\\`$])')
# Single quotes only where nothing needs hiding from them: systemd has no way to write one inside, and its releases
# before 240 read a backslash there as an escape. They are worth it for `$`, which simpler readers keep escaped.
_SINGLE = re.compile(r"[^'\\]*[$`][^'\\]*")


def env_text(choices: Iterable[Choice], *, header: Iterable[str] = ()) -> str:
    """Return the file's text: KEY=value lines, each under a comment with its reason."""
    chosen = tuple(choices)
    blocks = [comment(*header)]
    for choice, (name, value) in zip(chosen, variables(chosen).items(), strict=True):
        blocks.append(comment(f"{choice.because} [{choice.source}]") + f"{name}={quoted(value)}\n")
    return "\n".join(block for block in blocks if block)


def variables(choices: Iterable[Choice]) -> dict[str, str]:
    """Return names and values as a process will have them, or raise UnsupportedSettingError for the first that cannot be."""
    found: dict[str, str] = {}
    for choice in choices:
        if choice.setting in found:
            raise _refusal(f"environment variable `{choice.setting}` is set twice", choice, "keep one of the two")
        found[choice.setting] = _value(choice)
    return found


def quoted(value: str) -> str:
    """Return a value as both readers take it back unchanged: bare if it is harmless, else in quotes."""
    if _PLAIN.fullmatch(value):
        return value
    return f"'{value}'" if _SINGLE.fullmatch(value) else '"' + _ESCAPED.sub(r"\\\1", value) + '"'


def _value(choice: Choice) -> str:
    name, value = choice.setting, choice.value
    if not _NAME.fullmatch(name):
        raise _refusal(f"`{name}` is not a name for an environment variable", choice, "use letters, digits and `_`")
    if _SECRET.search(name.upper()):
        raise _refusal(
            f"`{name}` looks like a secret and cannot stand in a bundle",
            choice,
            "give it to `deploykit` in its own environment; it is placed on the node beside the bundle, readable by the engine alone",
        )
    if isinstance(value, bool):
        return "1" if value else "0"
    if value is None or isinstance(value, dict | list):
        raise _refusal(f"`{name}` needs text or a number, not `{value}`", choice, "write it as one string")
    text = str(value)
    bad = next((c for c in text if not _carried(c)), None)
    if bad is not None:
        raise _refusal(
            f"the value of `{name}` holds the character U+{ord(bad):04X}, which an environment file cannot carry",
            choice,
            "use one line of printable text",
        )
    return text


def _carried(char: str) -> bool:
    """Return whether both readers keep a character: systemd ends a value at CR and refuses what is not Unicode text."""
    code = ord(char)
    if char == "\t":
        return True
    control = code < 0x20 or code == 0x7F
    surrogate = 0xD800 <= code <= 0xDFFF
    noncharacter = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
    return not (control or surrogate or noncharacter)


def _refusal(what: str, choice: Choice, hint: str) -> UnsupportedSettingError:
    return UnsupportedSettingError(what, where=Place(file=choice.source, key=choice.setting), hint=hint)
