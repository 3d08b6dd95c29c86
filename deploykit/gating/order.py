"""When the runs were made -> whether base and head took turns, so that a slow drift of the machine hits both alike."""

import datetime as dt
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field

from deploykit.base import Value

_LONGEST = dt.timedelta(hours=24)


class Spell(Value):
    """When one run was made."""

    run: str
    arm: Literal["base", "head"]
    began: dt.datetime
    ended: dt.datetime


class Order(Value):
    """The order of the runs."""

    says: str = Field(description="Such as `ABBA`, A for base.")
    interleaved: bool = Field(description="Each pair is of two neighbours, and no two runs were under way at once.")
    balanced: bool = Field(description="Each goes first in half of the pairs, so that a steady drift cancels out.")
    problems: tuple[str, ...]


def order_of(spells: Sequence[Spell]) -> Order:
    """Return how the runs were ordered; pairs are the first and second run, the third and fourth, and so on."""
    line = sorted(spells, key=lambda spell: (spell.began, spell.run))
    says = "".join("A" if spell.arm == "base" else "B" for spell in line)
    pairs = [says[i : i + 2] for i in range(0, len(says), 2)]
    problems = []
    for one, other in pairwise(line):
        if other.began < one.ended:
            problems.append(f"`{one.run}` was still under way when `{other.run}` began")
    if any(sorted(pair) != ["A", "B"] for pair in pairs):
        problems.append(f"base (A) and head (B) did not take turns: {says}")
    interleaved = not problems
    first = sum(pair[0] == "A" for pair in pairs)
    balanced = abs(2 * first - len(pairs)) <= 1
    if interleaved and not balanced:
        problems.append(f"the same one went first in {max(first, len(pairs) - first)} of {len(pairs)} pairs: {says}")
    if line and line[-1].ended - line[0].began > _LONGEST:
        problems.append("more than a day lies between the first run and the last")
    return Order(says=says, interleaved=interleaved, balanced=balanced, problems=tuple(problems))
