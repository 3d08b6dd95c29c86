"""What the operator says of money, `cost:` in `deploykit.yaml`: what an hour costs, how busy it is, which API to compare with."""

import datetime as dt
from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from deploykit.base import Value
from deploykit.catalog.price import UsdPerMillion
from deploykit.catalog.ranges import Range, bounds

_Money = Annotated[Range, bounds(0)]
_Price = Annotated[Range, bounds(0, above=True)]
_Share = Annotated[Range, bounds(0, Decimal("0.99"))]


class OwnedIntent(Value):
    """A node that is bought; what is not given is taken from the profiles where they know it, else it is not counted."""

    capex_usd: _Price | None = Field(None, description="Purchase of one node; null takes the node profile's.")
    resale_share: _Share | None = Field(None, description="Of the purchase, got back at the end of its life.")
    interest_percent: Annotated[Range, bounds(0, 100)] | None = Field(None, description="Cost of capital a year.")
    life_years: Annotated[Range, bounds(0, 50, above=True)] | None = None
    power_kw: _Price | None = Field(None, description="Of one node, without cooling; null takes what was measured.")
    pue: Annotated[Range, bounds(1, 5)] | None = Field(
        None, description="Power of the building over that of its machines."
    )
    usd_per_kwh: _Money | None = None
    colo_usd_per_kw_month: _Money | None = None


class QuoteIntent(Value):
    """A price you were given; it replaces the list price of that provider for the model."""

    provider: str = Field(min_length=1)
    usd_per_m: UsdPerMillion
    valid_until: dt.date = Field(description="Its last day.")
    reference: str = Field(min_length=1, description="Where it is written: an offer's number, a mail, a contract.")


class CostIntent(Value):
    """What the hardware's hour costs, how busy it is, and which API offers to compare with.

    Numbers may be ranges: `14..18`, or `14..16..18` with the middle one as central.
    """

    rates: tuple[str, ...] = Field((), description="Names of the node's rates; empty uses all current ones.")
    usd_per_node_hour: _Price | None = Field(None, description="Your own rate, instead of the profile's.")
    usd_per_gpu_hour: _Price | None = Field(None, description="The same, for each GPU of the node.")
    provider: str | None = Field(None, description="Who asks for it, and on what terms.")
    storage_usd_per_month: _Money | None = Field(None, description="For each node, as the next three.")
    network_usd_per_month: _Money | None = None
    support_usd_per_month: _Money | None = None
    ops_usd_per_month: _Money | None = Field(None, description="People who keep it running.")
    owned: OwnedIntent | None = Field(
        None, description="A node that is bought, beside the rates; `{}` by the profiles."
    )
    busy: Annotated[Range, bounds(0, 1, above=True)] | None = Field(
        None, description="Mean load over capacity, such as 0.45 or 0.3..0.8."
    )
    traffic: tuple[Annotated[Decimal, Field(ge=0)], ...] | None = Field(
        None, description="Instead of `busy`: 24 weights, one for each hour of the day in UTC; nodes are for the peak."
    )
    price_change_percent: Annotated[Range, bounds(-99, 1000)] | None = Field(
        None, description="Change of the API's prices a year, such as -40..10."
    )
    offers: tuple[str, ...] = Field(
        (), description="Names of price profiles; empty uses those of the model, and comparable ones."
    )
    quotes: tuple[QuoteIntent, ...] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> "CostIntent":
        if self.usd_per_node_hour is not None and self.usd_per_gpu_hour is not None:
            raise ValueError("a rate is per GPU or per node, not both")
        if self.traffic is not None:
            if self.busy is not None:
                raise ValueError("`busy` follows from `traffic`: say one of them")
            if len(self.traffic) != 24 or not any(self.traffic):
                raise ValueError(f"`traffic` has {len(self.traffic)} weights; 24 are needed, not all 0")
        return self
