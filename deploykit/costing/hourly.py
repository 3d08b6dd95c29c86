"""Terms of renting or owning a node -> what its hour costs, line by line, each with low, central and high.

An owned node's capital follows the annuity formula, with `K` the purchase, `S` what it is sold for after `L` years and `i`
the interest of a year: `(K f(i,L) - S sf(i,L)) / 8760` USD per hour, where `f(i,L) = i / (1 - (1+i)^-L)` and
`sf(i,L) = i / ((1+i)^L - 1)` (capital recovery and sinking fund factors, as in Grant, Ireson and Leavenworth, Principles
of Engineering Economy). As `f = sf + i`, that is `((K - S) f + S i) / 8760`.
"""

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from deploykit.base import Value
from deploykit.catalog.ranges import Range, point, within
from deploykit.units import HOURS_PER_MONTH

HOURS_PER_YEAR = 12 * HOURS_PER_MONTH
_NOTHING = Decimal(0)

Inputs = Mapping[str, Decimal]
"""One number for each input of some terms, by its name."""


class MonthlyTerms(Value):
    """What a node costs a month beyond rent or capital, in USD; null is not counted, and said."""

    storage_usd_per_month: Range | None = None
    network_usd_per_month: Range | None = None
    support_usd_per_month: Range | None = None
    ops_usd_per_month: Range | None = None

    @model_validator(mode="after")
    def _no_income(self) -> "MonthlyTerms":
        for name in MonthlyTerms.model_fields:
            within(getattr(self, name), 0)
        return self

    @property
    def inputs(self) -> dict[str, Range]:
        """Return every input that is known, by name."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in found.items() if isinstance(value, Range)}

    @property
    def not_counted(self) -> tuple[str, ...]:
        """Return the inputs that are unknown, in words."""
        return tuple(_WORDS[name] for name in type(self).model_fields if name in _WORDS and getattr(self, name) is None)


class Rented(MonthlyTerms):
    """A node that is paid by the hour, busy or not."""

    kind: Literal["rented"] = "rented"
    usd_per_hour: Range = Field(description="Rent of one node.")

    @model_validator(mode="after")
    def _costs_something(self) -> "Rented":
        within(self.usd_per_hour, 0)
        return self


class Owned(MonthlyTerms):
    """A node that was bought."""

    kind: Literal["owned"] = "owned"
    capex_usd: Range = Field(description="What one node costs to buy.")
    resale_share: Range | None = Field(None, description="Of it, what the node is sold for after its life.")
    interest: Range | None = Field(None, description="Cost of capital, as a share a year.")
    life_years: Range
    power_kw: Range | None = Field(None, description="What the node draws, without cooling.")
    pue: Range | None = Field(None, description="Power of the building over that of its machines.")
    usd_per_kwh: Range | None = None
    colo_usd_per_kw_month: Range | None = None

    @model_validator(mode="after")
    def _possible(self) -> "Owned":
        within(self.capex_usd, 0, above=True)
        within(self.life_years, 0, 50, above=True)
        within(self.resale_share, 0, Decimal("0.99"))
        within(self.interest, 0, 1)
        within(self.pue, 1, 5)
        for value in (self.power_kw, self.usd_per_kwh, self.colo_usd_per_kw_month):
            within(value, 0)
        return self


HourTerms = Annotated[Rented | Owned, Field(discriminator="kind")]

_WORDS = {
    "resale_share": "resale", "interest": "interest", "power_kw": "power", "pue": "cooling (PUE)",
    "usd_per_kwh": "price of energy", "colo_usd_per_kw_month": "colocation", "storage_usd_per_month": "storage",
    "network_usd_per_month": "network", "support_usd_per_month": "support", "ops_usd_per_month": "operations",
}  # fmt: skip

_UNCOUNTED = {**dict.fromkeys(_WORDS, _NOTHING), "pue": Decimal(1)}
"""What an unknown input is reckoned as: nothing, and no cooling."""

_CHEAPER_WHEN_MORE = frozenset({"resale_share", "life_years"})


class HourLine(Value):
    """One term of the hour."""

    name: str
    usd_per_hour: Range = Field(description="Of one node.")


class HourlyCost(Value):
    """What an hour of the hardware costs, and where that is from."""

    usd_per_hour: Decimal = Field(description="Of one node; the central figure.")
    nodes: int = Field(description="How many nodes were paid.")
    rate: str
    provider: str
    kind: str
    source: str
    as_of: dt.date
    terms: HourTerms | None = Field(None, description="What the hour is made of; null is the rent alone.")

    @property
    def known_terms(self) -> Rented | Owned:
        """Return the terms; a bare rate is rent without anything beside it."""
        return self.terms or Rented(usd_per_hour=point(self.usd_per_hour))


def annuity(interest: Decimal, years: Decimal) -> Decimal:
    """Return the capital recovery factor: what a year of a loan of 1 costs; 1 / years without interest."""
    if interest == 0:
        return 1 / years
    return interest / (1 - power(1 + interest, -years))


def power(base: Decimal, exponent: Decimal) -> Decimal:
    """Return a power of a factor to 13 digits: by floats, which is 50 times as fast, and rounded to be the same everywhere."""
    return Decimal(f"{math.pow(base, exponent):.12e}")


def usd_by_line(terms: Rented | Owned, at: Inputs) -> dict[str, Decimal]:
    """Return USD per hour of one node, line by line, for one number of each known input."""
    known = {**_UNCOUNTED, **at}
    if isinstance(terms, Rented):
        lines = {"rent": known["usd_per_hour"]}
    else:
        resale = known["capex_usd"] * known["resale_share"]
        factor = annuity(known["interest"], known["life_years"])
        kw = known["power_kw"]
        lines = {
            "capital": ((known["capex_usd"] - resale) * factor + resale * known["interest"]) / HOURS_PER_YEAR,
            "energy": kw * known["pue"] * known["usd_per_kwh"],
            "colocation": kw * known["colo_usd_per_kw_month"] / HOURS_PER_MONTH,
        }
    for name in MonthlyTerms.model_fields:
        lines[_WORDS[name]] = known[name] / HOURS_PER_MONTH
    counted = {_WORDS[name] for name in MonthlyTerms.model_fields if getattr(terms, name) is not None}
    return {name: usd for name, usd in lines.items() if usd or name in counted | {"rent", "capital"}}


def usd_per_hour(terms: Rented | Owned, at: Inputs) -> Decimal:
    """Return what one node's hour costs for one number of each known input."""
    return sum(usd_by_line(terms, at).values(), _NOTHING)


def central(terms: Rented | Owned) -> dict[str, Decimal]:
    """Return the central number of each known input."""
    return {name: value.central for name, value in terms.inputs.items()}


def hour_lines(terms: Rented | Owned) -> tuple[HourLine, ...]:
    """Return every line with its bounds: all inputs of a line at their cheapest, at their centre, at their dearest."""
    low, middle, high = (usd_by_line(terms, at) for at in (_corner(terms, 0), central(terms), _corner(terms, 1)))
    names = dict.fromkeys([*middle, *high])
    return tuple(
        HourLine(
            name=name,
            usd_per_hour=Range(
                low=low.get(name, _NOTHING), central=middle.get(name, _NOTHING), high=high.get(name, _NOTHING)
            ),
        )
        for name in names
    )


def hour_range(terms: Rented | Owned) -> Range:
    """Return the whole hour of one node; its bounds have all inputs at their cheapest or dearest at once."""
    low, high = (usd_per_hour(terms, _corner(terms, end)) for end in (0, 1))
    return Range(low=low, central=usd_per_hour(terms, central(terms)), high=high)


def _corner(terms: Rented | Owned, end: Literal[0, 1]) -> dict[str, Decimal]:
    """Return each input at its cheaper (0) or dearer (1) end."""
    return {name: (value.low, value.high)[end != (name in _CHEAPER_WHEN_MORE)] for name, value in terms.inputs.items()}
