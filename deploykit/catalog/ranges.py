"""A number that is not known exactly: the lowest, the central and the highest it may be."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import AfterValidator, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from deploykit.base import Value
from deploykit.catalog import patterns

_PARTS = re.compile(r"(?<=[0-9])\.\.")
_DIGITS = 40
"""Longer numbers are no amounts, and their powers would take forever."""


class Range(Value):
    """A number with its bounds. Written as `2.5` (a point), `2..3` (the middle is central) or `2..2.2..3`."""

    low: Decimal
    central: Decimal
    high: Decimal

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(given, bool):
            msg = "a number or `low..high` is needed"
            raise ValueError(msg)  # noqa: TRY004 - pydantic's validators raise ValueError
        if isinstance(given, int | float | Decimal):
            given = str(given)
        return _parsed(given) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if not all(part.is_finite() for part in (self.low, self.central, self.high)):
            msg = "a range needs finite numbers"
            raise ValueError(msg)
        if not self.low <= self.central <= self.high:
            msg = f"a range goes from low to high, not {self}"
            raise ValueError(msg)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say what a file may hold: a number, or its text."""
        if handler.mode == "serialization":
            return handler(core)
        return {
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": patterns.RANGE}],
            "description": "A number, or `low..high`, or `low..central..high`.",
        }

    def __str__(self) -> str:
        """Return the range as it is written."""
        if self.is_point:
            return f"{self.central:f}"
        middle = "" if self.central == (self.low + self.high) / 2 else f"{self.central:f}.."
        return f"{self.low:f}..{middle}{self.high:f}"

    @property
    def is_point(self) -> bool:
        """Whether there is nothing to vary."""
        return self.low == self.high

    def times(self, factor: Decimal) -> "Range":
        """Return the range of a multiple, of a factor that is not negative."""
        return Range(low=self.low * factor, central=self.central * factor, high=self.high * factor)


def point(value: Decimal | int) -> Range:
    """Return a range of one number."""
    exact = Decimal(value)
    return Range(low=exact, central=exact, high=exact)


def bounds(low: Decimal | int, high: Decimal | int | None = None, *, above: bool = False) -> AfterValidator:
    """Return the validator of a field whose range stays from `low` to `high`; with `above`, `low` itself is outside."""

    def check(given: Range) -> Range:
        within(given, low, high, above=above)
        return given

    return AfterValidator(check)


def within(given: Range | None, low: Decimal | int, high: Decimal | int | None = None, *, above: bool = False) -> None:
    """Raise ValueError for a range that leaves `low` to `high`; with `above`, `low` itself is outside."""
    if given is None:
        return
    if given.low < low or (above and given.low == low) or (high is not None and given.high > high):
        least = "above" if above else "at least"
        most = "" if high is None else f" and at most {high}"
        msg = f"{given} is not {least} {low}{most}"
        raise ValueError(msg)


def _parsed(text: str) -> dict[str, Decimal]:
    parts = _PARTS.split(text.strip())
    try:
        numbers = [Decimal(part.strip()) for part in parts]
    except InvalidOperation:
        numbers = []
    if len(numbers) not in {1, 2, 3} or any(not n.is_finite() or len(f"{n:f}") > _DIGITS for n in numbers):
        msg = f"`{text[:40]}` is no number and no `low..high`"
        raise ValueError(msg)
    central = numbers[1] if len(numbers) == 3 else (numbers[0] + numbers[-1]) / 2
    return {"low": numbers[0], "central": central, "high": numbers[-1]}
