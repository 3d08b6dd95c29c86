"""Engines' counters, read again and again -> tokens by kind over time, and what they cost so far. All of it is a value.

Time is counted in whole milliseconds since 1970, so that sums are exact.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice
from deploykit.costing.bill import KindTokens, KindUsd, charge, price_list
from deploykit.errors import ComparisonError
from deploykit.measuring.samples import EngineCounters

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
OLD_SPAN_MS = 5 * MINUTE_MS
"""Length of a span that is over an hour old. Prices change at a multiple of it, as far as offers are known."""

RECENT_MS = HOUR_MS
KEPT_MS = 25 * HOUR_MS
LONGEST_PAUSE_MS = 5 * MINUTE_MS
"""A longer time without a look is watched only if an engine's counters reach over it."""

NO_TOKENS = KindTokens(fresh_input=0, cached_input=0, output=0)


class EngineSeen(Value):
    """An engine's counters when it last answered."""

    at_ms: int
    prompt: int
    cached: int | None = Field(description="Null where the engine does not tell.")
    output: int
    resets: int = Field(0, description="How often its counters began anew.")


class Span(Value):
    """A minute, or five of them: what was served in it as far as it is known."""

    start_ms: int
    length_ms: int
    tokens: KindTokens = NO_TOKENS
    watched_ms: int = Field(
        0, description="For how long of it the engines were looked at, or their counters tell of it."
    )
    known_ms: int = Field(0, description="For how long of it the tokens of an engine are known, summed over engines.")


class SpentUsd(Value):
    """What an offer would have charged since the meter began, twice: the API's own cache hit rate is not known."""

    same_hits: Decimal = Decimal(0)
    no_hits: Decimal = Decimal(0)


class MeterState(Value):
    """All that the meter knows; it outlives the process."""

    format: Literal["deploykit/meter/1"] = "deploykit/meter/1"
    at_ms: int | None = Field(None, description="When the engines were last looked at; null if never.")
    engines: dict[str, EngineSeen] = Field({}, description="By address; the last that each one said.")
    spans: tuple[Span, ...] = Field((), description="The last 25 hours, oldest first.")
    tokens: KindTokens = NO_TOKENS
    watched_ms: int = 0
    node_usd: Decimal = Decimal(0)
    api_usd: dict[str, SpentUsd] = Field({}, description="By offer.")


class _Served(Value):
    """What one engine served between two looks at it."""

    start_ms: int
    end_ms: int
    tokens: KindTokens
    whole: bool = Field(description="False after a reset: what came between the last look and the reset is lost.")


def observe(
    state: MeterState,
    readings: Mapping[str, EngineCounters | None],
    *,
    now_ms: int,
    usd_per_hour: Decimal | None,
    offers: Sequence[ApiPrice] = (),
) -> MeterState:
    """Add a look at all engines to what is known.

    An engine that is away (None, or without the counters that are needed) adds nothing. Once it answers again, what it
    served meanwhile is spread evenly over the time since it last did; if its counters began anew, that is what they
    count since, and the time does not become known.

    Args:
        state: what was known before.
        readings: by engine; engines that are not in it any more are forgotten.
        now_ms: the moment of the look. A clock that was set back adds no time.
        usd_per_hour: of all nodes together; None adds no dollars.
        offers: priced at the hour, without context tiers: counters do not tell how long a prompt was.

    """
    seen, served = dict[str, EngineSeen](), list[_Served]()
    for engine, reading in readings.items():
        before = state.engines.get(engine)
        now_seen, added = _since(before, reading, now_ms)
        if now_seen is not None:
            seen[engine] = now_seen
        if added is not None:
            served.append(added)
    spans = _folded(state.spans, now_ms)
    watched = _watched(state, served, now_ms)
    for start, end in _pieces(now_ms - watched, now_ms, now_ms):
        _add(spans, now_ms, start, watched_ms=end - start)
    tokens, api_usd = state.tokens, dict(state.api_usd)
    for part in served:
        tokens = _plus(tokens, part.tokens)
        for start, end in _pieces(part.start_ms, part.end_ms, now_ms):
            piece = _share(part, start, end)
            _add(spans, now_ms, start, tokens=piece, known_ms=end - start if part.whole else 0)
            if piece.total:
                _spend(api_usd, piece, offers, start)
    return MeterState(
        at_ms=now_ms,
        engines=seen,
        spans=tuple(spans[start] for start in sorted(spans) if now_ms - KEPT_MS < start <= now_ms),
        tokens=tokens,
        watched_ms=state.watched_ms + watched,
        node_usd=state.node_usd + (usd_per_hour or Decimal(0)) * watched / HOUR_MS,
        api_usd=api_usd,
    )


def moment(at_ms: int) -> dt.datetime:
    """Return milliseconds since 1970 as a time in UTC."""
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)


def charged(offer: ApiPrice, tokens: KindTokens, at_ms: int) -> tuple[KindUsd, KindUsd] | None:
    """Return an offer's price of tokens at an hour, with our cache hits and with none; None where it had no price."""
    try:
        prices = price_list(offer, at=moment(at_ms), input_tokens=0).usd_per_m
    except ComparisonError:
        return None
    uncached = KindTokens(fresh_input=tokens.fresh_input + tokens.cached_input, cached_input=0, output=tokens.output)
    return charge(tokens, prices), charge(uncached, prices)


def _since(
    before: EngineSeen | None, reading: EngineCounters | None, now_ms: int
) -> tuple[EngineSeen | None, _Served | None]:
    if reading is None or reading.prompt_tokens is None or reading.output_tokens is None:
        return before, None
    prompt, cached, output = reading.prompt_tokens, reading.cached_tokens, reading.output_tokens
    now_seen = EngineSeen(at_ms=now_ms, prompt=prompt, cached=cached, output=output)
    if before is None:
        return now_seen, None
    reset = prompt < before.prompt or output < before.output or (cached or 0) < (before.cached or 0)
    was = EngineSeen(at_ms=before.at_ms, prompt=0, cached=0, output=0) if reset else before
    taken = prompt - was.prompt
    # A counter that is there only now counts from before the last look: what it counts since is not known.
    hits = 0 if cached is None or was.cached is None else min(cached - was.cached, taken)
    return (
        now_seen.model_copy(update={"resets": before.resets + reset}),
        _Served(
            start_ms=min(before.at_ms, now_ms),
            end_ms=now_ms,
            tokens=KindTokens(fresh_input=taken - hits, cached_input=hits, output=output - was.output),
            whole=not reset,
        ),
    )


def _watched(state: MeterState, served: Sequence[_Served], now_ms: int) -> int:
    """Return the milliseconds since the last look, if they were watched."""
    if state.at_ms is None:
        return 0
    since = max(0, now_ms - state.at_ms)
    bridged = any(part.whole and part.start_ms <= state.at_ms for part in served)
    return since if bridged or since <= LONGEST_PAUSE_MS else 0


def _pieces(start_ms: int, end_ms: int, now_ms: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a time that lie in one span each; a moment is one part."""
    if start_ms >= end_ms:
        if start_ms == end_ms:
            yield start_ms, end_ms
        return
    while start_ms < end_ms:
        begin, length = _span_of(start_ms, now_ms)
        until = min(end_ms, begin + length)
        yield start_ms, until
        start_ms = until


def _span_of(at_ms: int, now_ms: int) -> tuple[int, int]:
    recent = (now_ms - RECENT_MS) // OLD_SPAN_MS * OLD_SPAN_MS
    length = MINUTE_MS if at_ms >= recent else OLD_SPAN_MS
    return at_ms // length * length, length


def _folded(spans: Sequence[Span], now_ms: int) -> dict[int, Span]:
    """Return the spans by their start, those of old put together."""
    found: dict[int, Span] = {}
    for span in spans:
        _add(found, now_ms, span.start_ms, tokens=span.tokens, watched_ms=span.watched_ms, known_ms=span.known_ms)
    return found


def _add(
    spans: dict[int, Span],
    now_ms: int,
    at_ms: int,
    *,
    tokens: KindTokens = NO_TOKENS,
    watched_ms: int = 0,
    known_ms: int = 0,
) -> None:
    start, length = _span_of(at_ms, now_ms)
    was = spans.get(start) or Span(start_ms=start, length_ms=length)
    spans[start] = Span(
        start_ms=start,
        length_ms=max(length, was.length_ms),
        tokens=_plus(was.tokens, tokens),
        watched_ms=was.watched_ms + watched_ms,
        known_ms=was.known_ms + known_ms,
    )


def _share(part: _Served, start_ms: int, end_ms: int) -> KindTokens:
    """Return the tokens of a piece of the time; those of all pieces add up to the whole, to the token."""
    length = part.end_ms - part.start_ms
    if length == 0:
        return part.tokens

    def cut(tokens: int) -> int:
        return tokens * (end_ms - part.start_ms) // length - tokens * (start_ms - part.start_ms) // length

    return KindTokens(
        fresh_input=cut(part.tokens.fresh_input),
        cached_input=cut(part.tokens.cached_input),
        output=cut(part.tokens.output),
    )


def _spend(api_usd: dict[str, SpentUsd], tokens: KindTokens, offers: Sequence[ApiPrice], at_ms: int) -> None:
    for offer in offers:
        price = charged(offer, tokens, at_ms)
        if price is not None:
            was = api_usd.get(offer.name, SpentUsd())
            api_usd[offer.name] = SpentUsd(
                same_hits=was.same_hits + price[0].total, no_hits=was.no_hits + price[1].total
            )


def _plus(one: KindTokens, other: KindTokens) -> KindTokens:
    return KindTokens(
        fresh_input=one.fresh_input + other.fresh_input,
        cached_input=one.cached_input + other.cached_input,
        output=one.output + other.output,
    )
