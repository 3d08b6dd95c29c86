"""`pricing.json`: everything beside the measurements that the bills and the decision are made from.

Written into the run folder, so that every number of a report can be made again from the folder alone, without a
catalogue and on any day.
"""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice
from deploykit.catalog.ranges import Range, point
from deploykit.costing.comparison import Comparison, compare
from deploykit.costing.hourly import HourlyCost
from deploykit.measuring.measurements import Measurements

DRAWS = 10_000
SEED = 2026
HOURS = 24


class Pricing(Value):
    """The hourly rates, the API's price lists and the assumptions of one run."""

    format: Literal["deploykit/pricing/1"] = "deploykit/pricing/1"
    model: str
    rehearsal: bool
    hourly: tuple[HourlyCost, ...] = Field(description="The first is the headline.")
    offers: tuple[ApiPrice, ...] = Field(description="With every price list they ever had.")
    against: tuple[str, ...] = Field((), description="Offers that were named to decide against; else the cheapest.")
    busy: Range | None = Field(None, description="Mean load over capacity; null was not said.")
    traffic: tuple[Decimal, ...] | None = Field(None, description="24 hourly weights, UTC; `busy` follows from them.")
    price_change_percent: Range | None = Field(None, description="Of the API's prices, a year.")
    seed: int = SEED
    draws: int = Field(DRAWS, gt=0)

    @property
    def duty(self) -> Range | None:
        """How busy the nodes are on average: as said, or by the hours' traffic, where nodes are bought for the peak."""
        if self.traffic is None:
            return self.busy
        return point(sum(self.traffic, Decimal(0)) / len(self.traffic) / max(self.traffic))


def compare_priced(measurements: Measurements, pricing: Pricing) -> Comparison:
    """Put both bills side by side; ComparisonError as `compare` raises it."""
    return compare(
        measurements,
        pricing.hourly,
        pricing.offers,
        model=pricing.model,
        rehearsal=pricing.rehearsal,
        busy=None if pricing.duty is None else pricing.duty.central,
    )
