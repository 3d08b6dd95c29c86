"""What an API charges for tokens, period by period, with peak windows and context tiers."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from deploykit.base import Value
from deploykit.catalog.fact import Facts


class UsdPerMillion(Value):
    """A price list in USD per million tokens. Cached input without a price of its own is billed as input."""

    input: Decimal = Field(ge=0)
    cached_input: Decimal | None = Field(ge=0, description="Null: the offer has no price for cached input.")
    output: Decimal = Field(ge=0)


class PeakWindow(Value):
    """Hours of the day (UTC) at another price."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...]
    start: dt.time
    end: dt.time = Field(description="The first moment after it; 00:00 is midnight.")

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> "PeakWindow":
        if self.start >= self.end != dt.time.min:
            msg = f"a window from {self.start:%H:%M} to {self.end:%H:%M} never holds; split one that crosses midnight"
            raise ValueError(msg)
        return self

    def holds(self, at: dt.datetime) -> bool:
        """Return whether a moment (UTC) lies in the window; public holidays are not known."""
        day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[at.weekday()]
        return day in self.days and self.start <= at.time() and (at.time() < self.end or self.end == dt.time.min)


class ContextTier(Value):
    """Another price list for requests whose input is longer than a limit."""

    above_input_tokens: int = Field(gt=0)
    usd_per_m: UsdPerMillion


class PricePeriod(Facts):
    """A price list and the days it held."""

    start: dt.date | None = Field(description="First day; null is unknown or always.")
    end: dt.date | None = Field(None, description="Last day; null is still valid.")
    usd_per_m: UsdPerMillion
    peak_windows: tuple[PeakWindow, ...] = ()
    peak_usd_per_m: UsdPerMillion | None = None
    tiers: tuple[ContextTier, ...] = ()

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> "PricePeriod":
        if self.start and self.end and self.end < self.start:
            msg = f"a period from {self.start} to {self.end} holds on no day"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _peak_has_a_price(self) -> "PricePeriod":
        if bool(self.peak_windows) != (self.peak_usd_per_m is not None):
            msg = "peak_windows and peak_usd_per_m go together"
            raise ValueError(msg)
        return self


class ApiPrice(Value):
    """An offer: one model at one provider. `name` is its file's stem."""

    name: str
    title: str
    provider: str
    api_model: str = Field(description="The provider's own name of the model.")
    refreshed_as: str | None = Field(
        None, description="The model's name in genai-prices for `deploykit prices refresh`, where it is another one."
    )
    status: Literal["current", "deprecated", "retired"] = "current"
    serves: str | None = Field(description="The profile it serves; null for a model without one.")
    comparable: tuple[str, ...] = Field(
        (), description="Profiles it may be compared with although it serves another model."
    )
    periods: tuple[PricePeriod, ...] = Field(min_length=1)
    note: str | None = None

    def period_at(self, day: dt.date) -> PricePeriod | None:
        """Return the price list of a day, or None where the offer did not exist; later entries win."""
        held = [p for p in self.periods if (p.start is None or p.start <= day) and (p.end is None or day <= p.end)]
        return held[-1] if held else None
