"""What owning a node costs beside its purchase, where somebody published it; the operator's own figures come first."""

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.fact import Facts
from deploykit.catalog.ranges import Range


class Assumption(Facts):
    """A figure that somebody reckoned with."""

    value: Range


class Ownership(Value):
    """Assumptions for any node; null is unknown, and then it is not counted."""

    resale_share: Assumption | None = Field(description="Of the purchase, at the end of its life.")
    interest_percent: Assumption | None = Field(description="Cost of capital a year.")
    life_years: Assumption
    pue: Assumption | None = Field(description="Power of the building over that of its machines.")
    usd_per_kwh: Assumption | None
    colo_usd_per_kw_month: Assumption | None
