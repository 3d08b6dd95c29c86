"""Rows -> a Markdown table; text that is not ours cannot break out of its cell."""

from collections.abc import Sequence

_SPECIAL = {ord(char): f"&#{ord(char)};" for char in "&<>|\\`*_[]()#~!@$"}


def escape(text: str) -> str:
    """Return text of unknown origin on one line, without any meaning in Markdown or HTML."""
    return " ".join(text.split()).translate(_SPECIAL)


def quoted(text: str) -> str:
    """Return text of unknown origin as code: a hosting site makes no link or mention of what stands in it."""
    # A colon or dot as an entity, so that no address is seen before the tags are.
    plain = escape(text).replace("://", "&#58;//").replace("www.", "www&#46;")
    return f"<code>{plain}</code>" if plain else ""


def sentence(text: str) -> str:
    """Return a sentence of ours with names in it: what stands between backticks becomes code, the rest plain text."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return _plain(text)
    return "".join(quoted(part) if index % 2 else _plain(part) for index, part in enumerate(parts))


def _plain(text: str) -> str:
    # Parentheses and dollars mean nothing alone, and the source stays readable.
    lead, trail = " " * text.startswith(" "), " " * (len(text) > 1 and text.endswith(" "))
    return lead + escape(text).replace("&#36;", "$").replace("&#40;", "(").replace("&#41;", ")") + trail


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Return a Markdown table, a letter (`l`, `r`) of `align` for each column.

    Cells are Markdown: text that is not ours must have been escaped.
    """
    rule = ["--:" if side == "r" else ":--" for side in align]
    lines = [header, rule, *rows]
    if any(len(line) != len(header) for line in lines):
        msg = "every row needs a cell for each column"
        raise ValueError(msg)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
