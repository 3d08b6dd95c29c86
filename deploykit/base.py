"""The base of every value: frozen, and strict about unknown keys."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Withheld:
    """Marks a field that may hold a secret, meant or by mistake: messages name its key and never its value."""


class Value(BaseModel):
    """An immutable value that rejects keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, ser_json_inf_nan="null")

    def as_json(self) -> str:
        """Return the value as indented JSON with a final newline: same value, same bytes."""
        return self.model_dump_json(indent=2) + "\n"

    def as_data(self) -> dict[str, Any]:
        """Return the value as plain JSON-compatible data."""
        return self.model_dump(mode="json")
