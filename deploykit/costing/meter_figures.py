"""What the meter knows -> its figures: dollars per hour and per million tokens, utilisation, and the way to break-even.

An engine that is away counts as one that serves nothing: its node is paid. `known_share` says how much of the time that is.
"""

from collections.abc import Sequence
from decimal import Decimal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice
from deploykit.costing.bill import SECONDS_PER_HOUR
from deploykit.costing.metering import MeterState, Span, charged
from deploykit.units import MILLION

WINDOWS: dict[str, int] = {"5m": 300, "1h": 3600, "24h": 86400}
"""Seconds by name."""

_ONE = Decimal(1)
_Charges = Sequence[tuple[Decimal, Decimal]] | None
"""What each span would have cost, with our cache hits and with none; None if a span has no price."""


class OfferFigures(Value):
    """An API's invoice for a window's tokens, at the offer's price of each hour; context tiers are not known."""

    offer: str
    usd_per_hour_same_hits: Decimal
    usd_per_hour_no_hits: Decimal
    usd_per_m_same_hits: Decimal | None = Field(description="Null while no token was served.")
    usd_per_m_no_hits: Decimal | None
    break_even_factor: Decimal | None = Field(
        description="So many times this traffic would cost the same on both sides; up to 1 the node is cheaper already. "
        "Null while the invoice is nothing, or the hour's price is not known."
    )
    distance_usd_per_hour: Decimal | None = Field(
        description="The API's invoice for an hour less the node's cost: below 0 the API is cheaper."
    )


class WindowFigures(Value):
    """One window, over the seconds of it that are really covered."""

    window: str
    covered_s: Decimal
    known_share: Decimal = Field(description="Share of the engines' seconds in which their tokens are known.")
    fresh_input: Decimal = Field(description="Tokens; a span that reaches out of the window counts in part.")
    cached_input: Decimal
    output: Decimal
    tokens_per_s: Decimal
    usd: Decimal | None = Field(description="What the covered time cost; null where the hour's price is not known.")
    usd_per_m: Decimal | None = Field(description="Null while no token was served.")
    utilisation: Decimal | None = Field(
        description="Tokens per second over the capacity; null where that is not known."
    )
    offers: tuple[OfferFigures, ...]


class MeterFigures(Value):
    """What the meter shows. A window that nothing is known of is not in it."""

    state: MeterState
    usd_per_hour: Decimal | None
    capacity_tokens_per_s: Decimal | None
    up: dict[str, bool] = Field(description="By engine: whether its counters could be read just now.")
    windows: tuple[WindowFigures, ...]


def figures(
    state: MeterState,
    up: dict[str, bool],
    *,
    usd_per_hour: Decimal | None,
    capacity_tokens_per_s: Decimal | None = None,
    offers: Sequence[ApiPrice] = (),
) -> MeterFigures:
    """Return the figures at the moment of the last look.

    Args:
        state: what `observe` returned.
        up: by engine; their number is how many there are.
        usd_per_hour: of all nodes together.
        capacity_tokens_per_s: what the engines can serve, input and output together.
        offers: to compare with.

    """
    charges = {offer.name: _charges(offer, state.spans) for offer in offers}
    made = (
        _window(
            name, seconds, state, charges, engines=len(up), usd_per_hour=usd_per_hour, capacity=capacity_tokens_per_s
        )
        for name, seconds in WINDOWS.items()
    )
    return MeterFigures(
        state=state,
        usd_per_hour=usd_per_hour,
        capacity_tokens_per_s=capacity_tokens_per_s,
        up=up,
        windows=tuple(window for window in made if window is not None),
    )


def _charges(offer: ApiPrice, spans: Sequence[Span]) -> _Charges:
    found = []
    for span in spans:
        price = charged(offer, span.tokens, span.start_ms)
        if price is None:
            return None
        found.append((price[0].total, price[1].total))
    return found


def _window(
    name: str,
    seconds: int,
    state: MeterState,
    charges: dict[str, _Charges],
    *,
    engines: int,
    usd_per_hour: Decimal | None,
    capacity: Decimal | None,
) -> WindowFigures | None:
    if state.at_ms is None:
        return None
    parts = [_inside(span, state.at_ms - seconds * 1000, state.at_ms) for span in state.spans]

    def total(values: Sequence[Decimal | int]) -> Decimal:
        return sum((part * value for part, value in zip(parts, values, strict=True) if part), Decimal(0))

    covered_s = total([span.watched_ms for span in state.spans]) / 1000
    known_s = total([span.known_ms for span in state.spans]) / 1000
    if covered_s <= 0 or known_s <= 0:
        return None
    fresh = total([span.tokens.fresh_input for span in state.spans])
    cached = total([span.tokens.cached_input for span in state.spans])
    output = total([span.tokens.output for span in state.spans])
    tokens = fresh + cached + output
    hours = covered_s / SECONDS_PER_HOUR
    usd = None if usd_per_hour is None else usd_per_hour * covered_s / SECONDS_PER_HOUR
    return WindowFigures(
        window=name,
        covered_s=covered_s,
        known_share=min(_ONE, known_s / (covered_s * engines)) if engines else _ONE,
        fresh_input=fresh,
        cached_input=cached,
        output=output,
        tokens_per_s=tokens / covered_s,
        usd=usd,
        usd_per_m=None if usd is None or not tokens else usd / tokens * MILLION,
        utilisation=tokens / covered_s / capacity if capacity else None,
        offers=tuple(
            _offer(offer, total([same for same, _ in found]), total([none for _, none in found]), tokens, hours, usd)
            for offer, found in charges.items()
            if found is not None
        ),
    )


def _offer(
    offer: str, same: Decimal, none: Decimal, tokens: Decimal, hours: Decimal, usd: Decimal | None
) -> OfferFigures:
    return OfferFigures(
        offer=offer,
        usd_per_hour_same_hits=same / hours,
        usd_per_hour_no_hits=none / hours,
        usd_per_m_same_hits=same / tokens * MILLION if tokens else None,
        usd_per_m_no_hits=none / tokens * MILLION if tokens else None,
        break_even_factor=usd / same if usd is not None and same else None,
        distance_usd_per_hour=None if usd is None else (same - usd) / hours,
    )


def _inside(span: Span, start_ms: int, end_ms: int) -> Decimal:
    """Return the share of a span that lies in a time; the last span has just begun, and ends with it."""
    ends = min(span.start_ms + span.length_ms, end_ms)
    if ends <= span.start_ms:
        return _ONE if start_ms <= span.start_ms == end_ms else Decimal(0)
    overlap = min(ends, end_ms) - max(span.start_ms, start_ms)
    return Decimal(max(0, overlap)) / (ends - span.start_ms)
