"""What a report's parts are made of, before they are Markdown or HTML.

Text is plain, except that what stands between backticks is code; `code` puts text of unknown origin there.
"""

from deploykit.base import Value


class Table(Value):
    """A table: a letter of `align` (`l`, `r`) for each column."""

    caption: str = ""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str
    strong: tuple[int, ...] = ()
    """Rows that a reader looks for first."""


class Section(Value):
    """A part of the report."""

    title: str
    says: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.says or self.tables or self.commands)


def code(text: str) -> str:
    """Return text of unknown origin between backticks, on one line."""
    plain = " ".join(text.split()).replace("`", "'")
    return f"`{plain}`" if plain else ""
