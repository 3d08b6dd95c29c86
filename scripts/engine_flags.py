"""An engine environment in, the flag table of profiles/engines/ out: what that release's own parser accepts.

Usage: ENGINE/bin/python scripts/engine_flags.py profiles/engines/vllm-<minor>.flags.json      (`make engine-flags`)

Runs under the engine's Python, because only vLLM can build its parser. It takes the CPU build: the CUDA build cannot
even print its help on a machine without a GPU. Of a release without a CPU build, the CUDA wheel's Python code will do, unpacked
before a CPU engine on PYTHONPATH, with `+cpu` after the version in its METADATA. Needs no more than the standard library beside vLLM.
"""

import argparse
import dataclasses
import enum
import json
import re
import sys
from pathlib import Path
from typing import Any

import vllm  # noqa: TID251 - this script is the one that runs inside the engine's environment
from normalise_flags import flag_table
from vllm import ModelRegistry  # noqa: TID251 - as above
from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS  # noqa: TID251 - as above
from vllm.model_executor.model_loader import _LOAD_FORMAT_TO_MODEL_LOADER  # noqa: TID251 - as above
from vllm.reasoning import ReasoningParserManager  # noqa: TID251 - as above
from vllm.tool_parsers import ToolParserManager  # noqa: TID251 - as above
from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: TID251 - as above
from vllm.v1.attention.backends.registry import AttentionBackendEnum  # noqa: TID251 - as above

try:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser  # noqa: TID251 - as above
except ModuleNotFoundError:  # older releases, 0.26 among them
    from vllm.entrypoints.openai.cli_args import make_arg_parser  # noqa: TID251 - as above

_DEPRECATED = re.compile(r"[^.]*\bdeprecated\b.*", re.DOTALL)


def dump() -> dict[str, Any]:
    """Return the parser's flags and the names that other flags may take, as plain data."""
    parser = make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    flags: dict[str, Any] = {}
    for group in parser._action_groups:  # noqa: SLF001 - argparse has no public way to list its actions
        for action in group._group_actions:  # noqa: SLF001 - as above
            names = [name for name in action.option_strings if name.startswith("--")]
            if names and not isinstance(action, argparse._HelpAction):  # noqa: SLF001 - as above
                flags[names[0].removeprefix("--")] = _flag(action, names[0], group.title or "")
    return {"vllm": vllm.__version__.split("+")[0], "flags": flags, "extra": _registered()}


def _flag(action: argparse.Action, name: str, group: str) -> dict[str, Any]:
    text = action.help or ""
    deprecated = _DEPRECATED.search(text)
    dest = name.removeprefix("--").replace("-", "_")
    return {
        "type": _type(action),
        "default": _default(action.default),
        "choices": list(action.choices) if action.choices else None,
        "nargs": action.nargs if action.nargs != 0 else None,
        "aliases": [alias for alias in action.option_strings if alias != name] or None,
        "group": group,
        "dest": action.dest if action.dest != dest else None,
        "json": True if "valid JSON string" in text else None,
        "deprecated_note": " ".join(deprecated.group().split()) if deprecated else None,
    }


def _type(action: argparse.Action) -> str:
    if isinstance(action, argparse.BooleanOptionalAction):
        return "bool"
    if action.nargs == 0:
        return "flag"
    return getattr(action.type, "__name__", None) or "str"


def _default(value: Any) -> Any:  # noqa: ANN401 - whatever a flag's default is
    if dataclasses.is_dataclass(value):
        return f"<{type(value).__name__}()>"
    match value:
        case enum.Enum():
            return value.value if isinstance(value.value, str | int) else value.name.lower()
        case set() | frozenset():
            return sorted(value)
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value


def _registered() -> dict[str, list[str]]:
    return {
        "architectures": sorted(ModelRegistry.get_supported_archs()),
        "attention_backends": sorted(AttentionBackendEnum.__members__),
        "load_formats": sorted(_LOAD_FORMAT_TO_MODEL_LOADER),
        "quantization_methods": sorted(QUANTIZATION_METHODS),
        "reasoning_parsers": sorted(ReasoningParserManager.list_registered()),
        "tool_call_parsers": sorted(ToolParserManager.list_registered()),
    }


if __name__ == "__main__":
    # Into a file: vLLM says things on stdout while it is imported.
    Path(sys.argv[1]).write_text(json.dumps(flag_table(dump()), indent=1) + "\n", encoding="utf-8")
