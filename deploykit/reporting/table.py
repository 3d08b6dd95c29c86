"""Text and tables -> Markdown; text that is not ours can neither break out of its cell nor link nor mention."""

from deploykit.reporting.content import Section, Table

_SPECIAL = {ord(char): f"&#{ord(char)};" for char in "&<>|\\`*_[]~#!@"}


def escape(text: str) -> str:
    """Return text on one line, without any meaning in Markdown or HTML."""
    return " ".join(text.split()).translate(_SPECIAL)


def inline(text: str) -> str:
    """Return a text as Markdown: what stands between backticks becomes code, the rest is plain."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return "".join(_code(part) if index % 2 else _plain(part) for index, part in enumerate(parts))


def _plain(text: str) -> str:
    lead, trail = text[:1].isspace(), text[-1:].isspace() and len(text) > 1
    return f"{' ' * lead}{escape(text)}{' ' * trail}"


def _code(text: str) -> str:
    # Not a Markdown code span: a bar would still end a table's cell there. Addresses are broken up, so that they do not
    # become links before the tags are seen.
    plain = escape(text).replace("://", "&#58;//").replace("www.", "www&#46;")
    return f"<code>{plain}</code>" if plain else ""


def table(content: Table) -> str:
    """Return a Markdown table, with its caption under it."""
    rule = ["--:" if side == "r" else ":--" for side in content.align]
    rows = [
        [f"**{cell}**" if index in content.strong and cell else cell for cell in map(inline, row)]
        for index, row in enumerate(content.rows)
    ]
    lines = [[inline(cell) for cell in content.header], rule, *rows]
    if any(len(line) != len(content.header) for line in lines):
        msg = "every row needs a cell for each column"
        raise ValueError(msg)
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n{inline(content.caption)}" if content.caption else text


def folded(section: Section) -> str:
    """Return a section as Markdown that a reader opens."""
    parts = ["\n".join(f"- {inline(line)}" for line in section.says)] if section.says else []
    parts += [table(content) for content in section.tables]
    if section.commands:
        parts.append("\n".join(["```sh", *(line.replace("`", "'") for line in section.commands), "```"]))
    return details(section.title, "\n\n".join(parts))


def details(title: str, body: str) -> str:
    """Return Markdown under a title that a reader opens."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
