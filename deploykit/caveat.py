"""Doubts that travel with numbers until a reader has seen them."""

from enum import StrEnum

from deploykit.base import Value


class Weight(StrEnum):
    """How much a doubt weighs."""

    NOTE = "note"
    """Worth knowing; the number stands."""

    DOUBT = "doubt"
    """The number may be off; the caveat says by how much where that is known."""

    INVALID = "invalid"
    """The number must not be used for a decision."""


class Caveat(Value):
    """One doubt about a number, with its evidence."""

    code: str
    """A stable kebab-case name, such as `rehearsal` or `price-old`."""
    weight: Weight
    says: str
    """One sentence for a reader, with the numbers that raised the doubt."""


REHEARSAL = Caveat(
    code="rehearsal",
    weight=Weight.INVALID,
    says="Hardware and weights are stand-ins: the dollars prove the road, not the price.",
)
"""The doubt about every number of a rehearsal, in the same words wherever it is raised."""
