"""The only printer: results to stdout, everything else to stderr; readable without colour and on a narrow terminal."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from deploykit.errors import DeploykitError

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 160
"""Columns used where the output is no terminal: a log or a pipe need not wrap early."""


def _rich(*, stderr: bool) -> "Console":
    from rich.console import Console

    class PipeConsole(Console):
        """Leaves a closed pipe to the caller, who knows its exit code."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return PipeConsole(stderr=stderr, width=width, highlight=False, emoji=False)


def result(text: str) -> None:
    """Print a result as it is."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def prose(text: str) -> None:
    """Print a result made of sentences, wrapped between words on a terminal and left alone in a file or pipe."""
    if not sys.stdout.isatty():
        result(text)
        return
    import textwrap

    width = max(40, _rich(stderr=False).width)
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        result(textwrap.fill(line, width=width, subsequent_indent=indent, drop_whitespace=True) if line.strip() else "")


def say(text: str = "") -> None:
    """Print something that is not the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def envelope(kind: str, value: object) -> None:
    """Print a result as the versioned JSON envelope of `--json`."""
    result(json.dumps({"format": f"deploykit/{kind}/1", "ok": True, "result": value}, indent=2, default=str))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = (), title: str | None = None
) -> None:
    """Print a table; columns named in `right` hold numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    _rich(stderr=False).print(made)


def heading(text: str) -> None:
    """Print a heading among results."""
    from rich.text import Text

    _rich(stderr=False).print(Text(f"\n{text}", style="bold"))


def entry(head: str, *lines: str) -> None:
    """Print a line, and indented under it what is to be said about it, wrapped to the terminal."""
    import textwrap

    result(head)
    for line in lines:
        result(
            textwrap.fill(
                line, width=max(40, _rich(stderr=False).width), initial_indent="    ", subsequent_indent="    "
            )
        )


def failure(error: DeploykitError, *, as_json: bool) -> None:
    """Print an error: as text on stderr, or as the JSON envelope on stdout."""
    if as_json:
        body: dict[str, Any] = {
            "kind": error.kind, "exit_code": error.exit_code, "what": error.what,
            "where": str(error.where) if error.where else None, "hint": error.hint, "detail": error.detail,
        }  # fmt: skip
        result(json.dumps({"format": "deploykit/error/1", "ok": False, "error": body}, indent=2))
        return
    console = _rich(stderr=True)
    first, _, rest = str(error).partition("\n")
    if console.is_terminal and not console.no_color:
        from rich.text import Text

        console.print(Text(first, style="bold red"), soft_wrap=True)
        if rest:
            console.print(Text(rest), soft_wrap=True)
    else:
        say(str(error))
