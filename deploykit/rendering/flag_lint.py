"""One choice in, one line of vLLM's config file out, or the reason why this release would not take it.

vLLM's loader turns each key into `--key value` and says nothing when that goes wrong: it drops `false`, feeds a
list to a scalar flag as separate arguments, and lets argparse complete abbreviations. So each choice is held against
the release's own flag table before it is written.
"""

import json
import math
import re
from collections.abc import Iterable

from pydantic import JsonValue

from deploykit.base import Value
from deploykit.catalog.catalog import nearest
from deploykit.catalog.engine import Flag, FlagTable, RemovedFlag
from deploykit.catalog.secretive import covered
from deploykit.errors import Place, UnsupportedSettingError
from deploykit.planning.plan import Choice

SECRETS = {"api-key": "DEPLOYKIT_API_KEY", "hf-token": "HF_TOKEN"}
"""Flags that hold a secret, and the variable that deploykit takes it from; the engine then reads it from its environment."""

_NOT_IN_A_FILE = {"config": "a config file cannot name another one"}
_JSON_TYPES = frozenset({"loads", "parse_dataclass", "_parse_type", "json"})
_JSON_OR_TEXT = frozenset({"union_dict_and_str"})
_HUMAN_INT = re.compile(r"-?\d+(\.\d+)?[kKmMgGtT]?")
_NUMBER = re.compile(r"-\d+(\.\d*)?|-\.\d+")
_SHOWN = 60

# Which registry of the release a flag's value must be in, and the flag that loads more of them from a plugin.
_REGISTRIES: dict[str, tuple[str, str | None]] = {
    "tool-call-parser": ("tool_call_parsers", "tool-parser-plugin"),
    "reasoning-parser": ("reasoning_parsers", "reasoning-parser-plugin"),
    "quantization": ("quantization_methods", None),
}


class ConfigLine(Value):
    """One key of vLLM's config file, with its reason."""

    key: str
    value: JsonValue
    because: str
    source: str


class FlagLint:
    """Holds choices against one release's flags."""

    def __init__(self, flags: FlagTable, removed: Iterable[RemovedFlag] = ()) -> None:
        self._table = flags
        self._removed = {_name(r.flag): r for r in removed}
        self._aliases = {
            _name(alias): name for name, flag in flags.flags.items() for alias in flag.aliases if alias[:2] != "--no"
        }

    def line(self, choice: Choice, *, plugins: frozenset[str] = frozenset()) -> ConfigLine | None:
        """Return the line for a choice, or None where the engine's default is what was chosen.

        Args:
            choice: the setting, its value and its reason.
            plugins: flags of the same file; a parser may come from the plugin that one of them names.

        """
        name, value = self._canonical(choice)
        flag = self._table.flags[name]
        if name in SECRETS:
            raise _refusal(
                f"`{name}` is a secret and cannot stand in a config file",
                choice,
                f"leave it out of the settings, and set the environment variable `{SECRETS[name]}`",
            )
        if name in _NOT_IN_A_FILE:
            raise _refusal(f"`{name}` cannot be set here: {_NOT_IN_A_FILE[name]}", choice, "merge the settings instead")
        if value is None:
            raise _refusal(f"`{name}` has no value (null)", choice, "leave the setting out to get the engine's default")
        key, rendered = self._rendered(name, flag, value, choice)
        if key is None:
            return None
        self._check_registry(name, rendered, choice, plugins)
        return ConfigLine(key=key, value=rendered, because=choice.because, source=choice.source)

    def _canonical(self, choice: Choice) -> tuple[str, JsonValue]:
        """Return the flag's full name and the value it gets; `no-<flag>: true` is `<flag>: false`."""
        name = choice.setting.replace("_", "-")
        if name in self._table.flags:
            return name, choice.value
        positive = name.removeprefix("no-")
        if positive != name and positive in self._table.flags and _can_be_denied(positive, self._table.flags[positive]):
            if choice.value is not True:
                raise _refusal(
                    f"`{name}` takes only true, not {_show(choice.value, name)}", choice, f"write `{positive}: true`"
                )
            return positive, False
        # A single dash's short form is not accepted: in a config file every key becomes a long option.
        if name in self._aliases and len(name) > 3:
            return self._aliases[name], choice.value
        raise self._unknown(name, choice)

    def _unknown(self, name: str, choice: Choice) -> UnsupportedSettingError:
        release = f"vLLM {self._table.vllm}"
        bare = name.lstrip("-").partition(".")[0]
        if bare in self._removed:
            gone = self._removed[bare]
            hint = f"use `{gone.instead}` instead" if gone.instead else "leave it out; nothing replaces it"
            return _refusal(f"`{bare}` is gone from {release} (value {_show(choice.value, name)})", choice, hint)
        what = f"`{name}` is not a flag of {release} (value {_show(choice.value, name)})"
        if bare in self._table.flags:
            wanted = f"write `{bare}` without dashes in front" if name[0] == "-" else f"write `{bare}` as a mapping"
            return _refusal(what, choice, wanted)
        longer = [flag for flag in self._table.flags if flag.startswith(bare)] if len(bare) > 2 else []
        if longer:
            names = " or ".join(f"`{flag}`" for flag in sorted(longer, key=lambda f: (len(f), f))[:3])
            return _refusal(what, choice, f"abbreviations are not accepted: write {names} in full")
        close = nearest(bare, [*self._table.flags, *(a for a in self._aliases if len(a) > 3)])
        meant = " or ".join(f"`{flag}`" for flag in close)
        return _refusal(
            what, choice, f"did you mean {meant}?" if close else f"the flag table of {release} has no such name"
        )

    def _rendered(self, name: str, flag: Flag, value: JsonValue, choice: Choice) -> tuple[str | None, JsonValue]:
        """Return key and value as the loader needs them; no key where nothing is written."""
        if flag.type in {"bool", "flag"}:
            return _rendered_bool(name, flag, value, choice)
        if _takes_json(flag):
            return name, _rendered_json(name, flag, value, choice)
        if isinstance(value, dict):
            raise _refusal(f"`{name}` does not take a mapping, but got {_show(value, name)}", choice, _wants(flag))
        if isinstance(value, list):
            if flag.nargs not in {"+", "*"}:
                raise _refusal(f"`{name}` takes one value, not the list {_show(value, name)}", choice, _wants(flag))
            if not value:
                raise _refusal(f"`{name}` is an empty list", choice, "leave it out to get the engine's default")
            return name, [_scalar(name, flag, item, choice) for item in value]
        return name, _scalar(name, flag, value, choice)

    def _check_registry(self, name: str, value: JsonValue, choice: Choice, plugins: frozenset[str]) -> None:
        registry, plugin = _REGISTRIES.get(name, (None, None))
        known = self._table.extra.get(registry, ()) if registry else ()
        if not known or value in known or plugin in plugins:
            return
        close = nearest(str(value), known)
        meant = (
            f"did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else f"it has {', '.join(sorted(known))}"
        )
        raise _refusal(f"vLLM {self._table.vllm} has no `{name}` called {_show(value, name)}", choice, meant)


def _name(text: str) -> str:
    return text.lstrip("-").replace("_", "-")


def _can_be_denied(name: str, flag: Flag) -> bool:
    return any(_name(alias) == f"no-{name}" for alias in flag.aliases)


def _rendered_bool(name: str, flag: Flag, value: JsonValue, choice: Choice) -> tuple[str | None, JsonValue]:
    if not isinstance(value, bool):
        raise _refusal(f"`{name}` takes true or false, not {_show(value, name)}", choice, f"write `{name}: true`")
    if value:
        return name, True
    if flag.type == "flag":
        return None, None
    if _can_be_denied(name, flag):
        return f"no-{name}", True
    raise _refusal(
        f"`{name}` cannot be turned off: there is no `--no-{name}`, and vLLM drops `false` without a word",
        choice,
        "leave it out to get the engine's default",
    )


def _takes_json(flag: Flag) -> bool:
    return flag.json_value or flag.type in _JSON_TYPES | _JSON_OR_TEXT


def _rendered_json(name: str, flag: Flag, value: JsonValue, choice: Choice) -> JsonValue:
    """Return a mapping as it is (the loader makes JSON of it), and a list as JSON text (of that it would make arguments)."""
    if isinstance(value, str):
        return value if flag.type in _JSON_OR_TEXT else _valid_json(name, value, choice)
    if not isinstance(value, dict | list):
        raise _refusal(f"`{name}` takes JSON, not {_show(value, name)}", choice, "write a mapping or a list")
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        raise _refusal(f"`{name}` holds a number that JSON has no word for", choice, "use a finite number") from None
    return text if isinstance(value, list) else value


def _valid_json(name: str, text: str, choice: Choice) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        raise _refusal(
            f"`{name}` takes JSON, and {_show(text, name)} is none: {error}", choice, "write a mapping"
        ) from None
    return text


def _scalar(name: str, flag: Flag, value: JsonValue, choice: Choice) -> JsonValue:
    """Return one value after its checks: type, choices, and that argparse will not read it as another flag."""
    if not _fits(flag.type, value):
        raise _refusal(f"`{name}` does not take {_show(value, name)}", choice, _wants(flag))
    if isinstance(value, str) and value.startswith("-") and not _NUMBER.fullmatch(value):
        raise _refusal(f"`{name}` cannot be {_show(value, name)}: vLLM would read it as a flag", choice, _wants(flag))
    if flag.choices and str(value) not in flag.choices:
        close = nearest(str(value), flag.choices) or flag.choices
        raise _refusal(
            f"`{name}` cannot be {_show(value, name)} in this release",
            choice,
            f"use {' or '.join(f'`{c}`' for c in close)}",
        )
    return value


def _fits(kind: str | None, value: JsonValue) -> bool:
    """Return whether a scalar is of the flag's type; converters whose type is not told take any scalar but a boolean."""
    endless = isinstance(value, float) and not math.isfinite(value)
    if endless or isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    match kind:
        case "int":
            return isinstance(value, int)
        case "float":
            return isinstance(value, int | float)
        case "str":
            return isinstance(value, str)
        case "human_readable_int" | "human_readable_int_or_auto":
            text = str(value)
            return bool(_HUMAN_INT.fullmatch(text)) or (text == "auto" and kind.endswith("auto"))
        case _:
            return True


_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "human_readable_int": "a whole number, or one such as `128k`",
    "human_readable_int_or_auto": "a whole number, one such as `128k`, or `auto`",
    "str": "text (in quotes if it looks like a number)",
}


def _wants(flag: Flag) -> str:
    wanted = _WANTED.get(flag.type or "", "a single value")
    return f"it takes {wanted}, or a list of such" if flag.nargs in {"+", "*"} else f"it takes {wanted}"


def _show(value: JsonValue, name: str) -> str:
    text = json.dumps(covered(value, name), ensure_ascii=False)
    return f"`{text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}`"


def _refusal(what: str, choice: Choice, hint: str) -> UnsupportedSettingError:
    return UnsupportedSettingError(what, where=Place(file=choice.source, key=choice.setting), hint=hint)
