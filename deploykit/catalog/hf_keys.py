"""A `config.json` read key by key: each key is there and of its kind, or a CatalogError names it."""

from collections.abc import Mapping
from typing import Any

from deploykit.errors import CatalogError, Place


class ConfigKeys:
    """The text model's part of a config, read key by key; a wrong or missing key is a CatalogError naming it."""

    def __init__(self, data: Mapping[str, Any], file: str) -> None:
        inner = data.get("text_config")
        self.top, self.file = data, file
        self.data: Mapping[str, Any] = {**data, **inner} if isinstance(inner, Mapping) else data

    def whole(self, *names: str) -> int:
        """Return a number that must be there, under the first of its names that is."""
        found = self.maybe(*names)
        if not found:
            raise self.wrong(
                names[0],
                f"config.json has no `{names[0]}`" if found is None else f"`{names[0]}` is {found}",
                "give the config.json of a decoder language model, or write a profile",
            )
        return found

    def maybe(self, *names: str) -> int | None:
        """Return a number, or None where no name of it is there."""
        for name in names:
            value = self.data.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise self.wrong(name, f"`{name}` is {value!r}", "it is a whole number")
            return value
        return None

    def listed(self, name: str) -> tuple[object, ...]:
        """Return the items of a list, or the letters of a string; nothing where it is neither."""
        value = self.data.get(name)
        return tuple(value) if isinstance(value, list | tuple | str) else ()

    def within(self, name: str) -> Mapping[str, Any]:
        """Return a section; an empty one where there is none."""
        value = self.data.get(name)
        return value if isinstance(value, Mapping) else {}

    def wrong(self, key: str, what: str, hint: str) -> CatalogError:
        """Return the error about one key."""
        return CatalogError(what, where=Place(self.file, key=key), hint=hint)
