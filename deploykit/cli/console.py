"""The only printer: results to stdout, everything else to stderr; readable without colour and on a narrow terminal."""

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deploykit.errors import DeploykitError

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod, RenderableType

PLAIN_WIDTH = 160
"""Columns used where the output is no terminal: a log or a pipe need not wrap early."""


def prepare_streams() -> None:
    """Make stdout and stderr take any text: a closed one leads nowhere, and escapes stand for what a locale lacks."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process runs
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _rich(*, stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, emoji=False, color_system=colours())


def colours() -> Literal["auto"] | None:
    """Return what rich may use: nothing where NO_COLOR is set, not even bold, which rich itself would keep."""
    return None if os.environ.get("NO_COLOR") else "auto"


def result(text: str) -> None:
    """Print a result as it is."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def _draw(console: "Console", what: "RenderableType") -> None:
    """Print what rich draws, without the spaces it fills lines up with."""
    with console.capture() as drawn:
        console.print(what)
    result("\n".join(line.rstrip() for line in drawn.get().splitlines()))


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
    """Print something that is not the result; where nobody can read it, work goes on."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def envelope(kind: str, value: object) -> None:
    """Print a result as the versioned JSON envelope of `--json`."""
    result(json.dumps({"format": f"deploykit/{kind}/1", "ok": True, "result": value}, indent=2, default=str))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = (), title: str | None = None
) -> None:
    """Print a table; columns named in `right` hold numbers. Where words would be cut, rows become entries."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console, cells = _rich(stderr=False), [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = _widths(columns, cells, console.width)
    if widths is None:
        if title:
            heading(title)
        for row in cells:
            pairs = [f"{name}: {cell}" if name else cell for name, cell in zip(columns, row, strict=True) if cell]
            entry(next(filter(None, row), ""), "; ".join(pairs[1:]))
        return

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, show_edge=False)
    for column, width in zip(columns, widths, strict=True):
        side: JustifyMethod = "right" if column in right else "left"
        made.add_column(column, justify=side, overflow="fold", width=width)
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))
    _draw(console, made)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Return a width for each column so that no word is broken, the widest made narrow first; None if there is no room.

    Rich itself would share the lack of room over all columns, and cut names that people copy.
    """
    texts = list(zip(columns, *rows, strict=True))
    least = [max((len(word) for text in column for word in text.split()), default=0) for column in texts]
    widths = [max(len(text) for text in column) for column in texts]
    room -= 3 * (len(widths) - 1)  # what parts two columns
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((i for i in range(len(widths)) if widths[i] > least[i]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def heading(text: str) -> None:
    """Print a heading among results."""
    from rich.text import Text

    _draw(_rich(stderr=False), Text(f"\n{text}", style="bold"))


def entry(head: str, *lines: str) -> None:
    """Print a line, and indented under it what is to be said about it, wrapped to the terminal."""
    import textwrap

    result(head)
    for line in lines:
        result(
            textwrap.fill(
                line,
                width=max(40, _rich(stderr=False).width),
                initial_indent="    ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
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

        with contextlib.suppress(OSError):
            console.print(Text(first, style="bold red"), soft_wrap=True)
            if rest:
                console.print(Text(rest), soft_wrap=True)
    else:
        say(str(error))
