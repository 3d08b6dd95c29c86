"""Runs under the engine's Python: config files in, what `vllm serve` understood of each out, as JSON lines.

Usage: ENGINE/bin/python parse_configs.py LIST.json OUT.json; the list names the files. vLLM takes seconds to import,
so one process reads them all, through the same top-level parser that the `vllm` command builds.
"""

import contextlib
import dataclasses
import enum
import io
import json
import sys
from pathlib import Path
from typing import Any

from vllm.entrypoints.cli import serve  # noqa: TID251 - this file runs inside the engine's environment
from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: TID251 - as above


def understood(file: str) -> dict[str, Any]:
    """Return the parsed namespace as plain data, or what the parser complained of."""
    parser = FlexibleArgumentParser(description="vLLM CLI")
    subparsers = parser.add_subparsers(required=False, dest="subparser")
    commands = {command.name: command for command in serve.cmd_init()}
    for command in commands.values():
        command.subparser_init(subparsers)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            arguments = parser.parse_args(["serve", "--config", file])
            commands["serve"].validate(arguments)
    except (Exception, SystemExit) as failure:
        return {"refused": f"{failure}\n{errors.getvalue()}"}
    return {"namespace": {name: plain(value) for name, value in vars(arguments).items()}}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; enums are given as their name and their value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name, None)) for field in dataclasses.fields(value)}
    match value:
        case enum.Enum():
            return {"enum": value.name, "value": plain(value.value)}
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case str() | int() | float() | bool() | None:
            return value
        case _:
            return str(value)


if __name__ == "__main__":
    files = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps({file: understood(file) for file in files}), encoding="utf-8")
