"""Two texts that should be the same -> where they differ: a path in JSON, a line elsewhere; both values are told."""

import json
import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pydantic import Field

from deploykit.base import Value

_LONGEST = 160
_ABSENT = object()
"""Stands for a value that is not there; no JSON can hold it."""


class Mismatch(Value):
    """One thing that is not what the evidence gives."""

    file: str
    path: str = Field(description="Such as `comparison.rates[0].usd_per_m`, or `line 12`; empty for the whole file.")
    reported: str
    recomputed: str


class _Number(str):
    """A number as it stands in the file: no digit is lost."""

    __slots__ = ()


def in_json(file: str, reported: str, recomputed: str, *, tolerance: float = 0.0) -> tuple[list[Mismatch], int]:
    """Return the differences of two JSON texts, and how many numbers were compared.

    Digits are compared, not floats. With a tolerance, two numbers whose relative difference is at most that are the
    same: sums may be rounded otherwise on another platform.
    """
    try:
        ours = _parse(reported)
    except ValueError as error:
        return [Mismatch(file=file, path="", reported=f"no JSON: {error}", recomputed="JSON")], 0
    theirs = _parse(recomputed)
    return list(_walk(file, "", ours, theirs, tolerance)), _count(theirs)


def in_text(file: str, reported: str, recomputed: str) -> list[Mismatch]:
    """Return the lines that differ; of long ones what is around the first difference."""
    found = []
    for number, (ours, theirs) in enumerate(zip_longest(reported.split("\n"), recomputed.split("\n")), 1):
        if ours != theirs:
            start = max(0, _same(ours or "", theirs or "") - _LONGEST // 2)
            found.append(
                Mismatch(file=file, path=f"line {number}", reported=_cut(ours, start), recomputed=_cut(theirs, start))
            )
    return found


def _parse(text: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(
        text, parse_float=_Number, parse_int=_Number, parse_constant=_Number, object_pairs_hook=_each_key_once
    )


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key stands twice in one object"
        raise ValueError(msg)
    return found


def _walk(file: str, path: str, ours: Any, theirs: Any, tolerance: float) -> Iterator[Mismatch]:  # noqa: ANN401
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys((*theirs, *ours)):
            inner = f"{path}.{key}" if path else key
            yield from _walk(file, inner, ours.get(key, _ABSENT), theirs.get(key, _ABSENT), tolerance)
    elif isinstance(ours, list) and isinstance(theirs, list):
        for index, (one, other) in enumerate(zip_longest(ours, theirs, fillvalue=_ABSENT)):
            yield from _walk(file, f"{path}[{index}]", one, other, tolerance)
    elif not _equal(ours, theirs, tolerance):
        yield Mismatch(file=file, path=path, reported=_show(ours), recomputed=_show(theirs))


def _equal(ours: Any, theirs: Any, tolerance: float) -> bool:  # noqa: ANN401
    if type(ours) is not type(theirs):
        return False
    if ours == theirs:
        return True
    return bool(
        tolerance
        and isinstance(ours, _Number)
        and math.isclose(float(ours), float(theirs), rel_tol=tolerance, abs_tol=tolerance * 1e-3)
    )


def _count(value: Any) -> int:  # noqa: ANN401
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    if isinstance(value, list):
        return sum(map(_count, value))
    return isinstance(value, _Number) or (isinstance(value, str) and _is_money(value))


def _is_money(text: str) -> bool:
    """Whether a text is a Decimal, which JSON has as text."""
    return text.replace(".", "", 1).replace("-", "", 1).replace("E", "", 1).isdigit()


def _show(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, _Number):
        return str(value)
    return "(absent)" if value is _ABSENT else _cut(json.dumps(value), 0)


def _same(ours: str, theirs: str) -> int:
    """Return how many characters both begin with."""
    for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return index
    return min(len(ours), len(theirs))


def _cut(text: str | None, start: int) -> str:
    if text is None:
        return "(absent)"
    part = text[start : start + _LONGEST]
    return f"{'...' if start else ''}{part}{'...' if start + _LONGEST < len(text) else ''}"
