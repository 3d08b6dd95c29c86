"""Price profiles and a collection of prices -> a proposal to be reviewed: one unified diff of YAML, never applied by itself."""

import datetime as dt
import difflib
from collections import Counter
from typing import Protocol

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice, ContextTier, PricePeriod, UsdPerMillion
from deploykit.catalog.price_edit import NewPrice, with_period

_HOURS = 24


class UpstreamPrice(Value):
    """What a collection says an offer costs at one moment."""

    usd_per_m: UsdPerMillion
    tiers: tuple[ContextTier, ...] = ()


class PriceSource(Protocol):
    """A collection of API prices."""

    name: str
    """With its version, as the source of what comes from it."""

    def price(self, offer: ApiPrice, at: dt.datetime) -> UpstreamPrice | None:
        """Return what an offer costs at a moment, or None where the collection does not have it."""
        ...


class Proposed(Value):
    """What came out for one offer."""

    offer: str
    file: str
    says: str
    old: str = ""
    new: str = ""

    @property
    def changed(self) -> bool:
        """Whether a change is proposed."""
        return self.old != self.new

    @property
    def diff(self) -> str:
        """Return the change as a unified diff."""
        lines = difflib.unified_diff(
            self.old.splitlines(keepends=True), self.new.splitlines(keepends=True), f"a/{self.file}", f"b/{self.file}"
        )
        return "".join(lines)


def propose(offer: ApiPrice, text: str, *, file: str, source: PriceSource, now: dt.datetime) -> Proposed:
    """Compare an offer's current period with the collection; what cannot be told for sure is said and not proposed."""
    today = now.astimezone(dt.UTC).date()
    period = offer.period_at(today)
    if offer.status != "current" or period is None:
        return Proposed(offer=offer.name, file=file, says="is no longer sold: left alone")
    day = dt.datetime.combine(_a_tuesday(today), dt.time(0, 30), tzinfo=dt.UTC)
    moments = [day + dt.timedelta(hours=hour) for hour in range(_HOURS)]
    found = [price for at in moments if (price := source.price(offer, at)) is not None]
    if len(found) < _HOURS:
        return Proposed(offer=offer.name, file=file, says=f"is not in {source.name}")
    ordinary, *others = (price for price, _ in Counter(found).most_common())
    peak = others[0] if others else None
    says = _unsure(period, moments, found, source.name)
    if _same(period, ordinary, peak):
        return Proposed(offer=offer.name, file=file, says="is unchanged")
    if says is None and period.start is not None and period.start >= today:
        says = "began today and differs: look at it yourself"
    if says is not None:
        return Proposed(offer=offer.name, file=file, says=says)
    new = NewPrice(
        usd_per_m=ordinary.usd_per_m,
        peak_windows=period.peak_windows,
        peak_usd_per_m=peak.usd_per_m if peak is not None else None,
        tiers=ordinary.tiers,
        source=source.name,
    )
    try:
        changed = with_period(text, new, start=today)
    except ValueError as error:
        return Proposed(offer=offer.name, file=file, says=f"differs, but the file cannot be edited: {error}")
    return Proposed(offer=offer.name, file=file, says="has another price", old=text, new=changed)


def _unsure(period: PricePeriod, moments: list[dt.datetime], found: list[UpstreamPrice], source: str) -> str | None:
    """Return why the collection's hours cannot be taken over; it does not know days."""
    common = [price for price, _ in Counter(found).most_common()]
    if len(common) > 2:
        return f"has {len(common)} prices in one day in {source}: look at it yourself"
    ours = [any(window.holds(at) for window in period.peak_windows) for at in moments]
    theirs = [price != common[0] for price in found]
    return None if ours == theirs else f"has other peak hours in {source}, without their days: look at it yourself"


def _same(period: PricePeriod, ordinary: UpstreamPrice, peak: UpstreamPrice | None) -> bool:
    return (
        period.usd_per_m == ordinary.usd_per_m
        and period.tiers == ordinary.tiers
        and period.peak_usd_per_m == (peak.usd_per_m if peak is not None else None)
    )


def _a_tuesday(today: dt.date) -> dt.date:
    """Return the last Tuesday: on weekends some offers have no peak hours, and the collection does not know that."""
    return today - dt.timedelta(days=(today.weekday() - 1) % 7)
