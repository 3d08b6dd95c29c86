"""What a decision found -> the sentences a reader came for, which may say `never`."""

from collections.abc import Callable
from decimal import Decimal

from deploykit.base import Value
from deploykit.catalog.ranges import Range
from deploykit.costing.draws import Spread
from deploykit.units import show_usd

_MOST, _DRAWS = Decimal("0.95"), "the draws"


class Words(Value):
    """What the sentences are made of."""

    label: str
    offer: str
    api_usd_per_m: Decimal
    usd_per_m: Spread
    utilisation: Spread
    volume: Spread
    capacity_m: Decimal | None
    reachable: bool | None
    asked_m: Decimal | None
    api_usd_per_month: Decimal | None
    needed: Spread | None
    usd_per_month: Spread | None
    running_usd_per_month: Decimal | None
    payback_months: Spread | None
    within_life: Decimal | None
    life_years: Range | None
    full: bool


def sentences(words: Words) -> tuple[str, ...]:
    """Return the answer to what was asked, then costs per token, utilisation and volume."""
    found = [*_asked(words), _tokens(words), _utilisation(words), _volume(words)]
    return tuple(text for text in found if text)


def two(value: Decimal | None) -> str:
    """Return a number with two significant digits; null is `never`."""
    if value is None:
        return "never"
    if value == 0:
        return "0"
    rounded = Decimal(f"{value:.1e}")
    return f"{rounded:,.{max(0, 1 - rounded.adjusted())}f}"


def tokens(million: Decimal | None) -> str:
    """Return million tokens as text: `850 M`, `35 B` (a thousand million)."""
    if million is None:
        return "never"
    if million >= 1_000_000:
        return f"{two(million / 1_000_000)} T"
    return f"{two(million / 1000)} B" if million >= 1000 else f"{two(million)} M"


def usd_two(amount: Decimal | None) -> str:
    """Return dollars with two significant digits: `$0.065`, `$14,000`; null is unknown."""
    if amount is None or abs(amount) < 100:
        return show_usd(amount)
    return f"${two(amount)}"


def spread_usd(found: Spread) -> str:
    """Return dollars with their p5 and p95."""
    return _spread(found, usd_two)


def spread_tokens(found: Spread) -> str:
    """Return million tokens with their p5 and p95."""
    return _spread(found, tokens)


def spread_share(found: Spread) -> str:
    """Return a share in percent with its p5 and p95."""
    return _spread(found, lambda value: "unknown" if value is None else f"{two(value * 100)} %")


def _spread(found: Spread, say: Callable[[Decimal | None], str]) -> str:
    middle, low, high = say(found.central), say(found.p5), say(found.p95)
    return middle if low == high == middle else f"{middle} ({low} to {high})"


def _asked(words: Words) -> list[str]:
    if words.asked_m is None or words.api_usd_per_month is None or words.usd_per_month is None or words.needed is None:
        return []
    invoice = (
        f"${words.api_usd_per_month:,.0f} a month buy {tokens(words.asked_m)} tokens of this mix from {words.offer}"
    )
    if words.payback_months is None:
        ours = spread_usd(words.usd_per_month)
        less = words.usd_per_month.central is not None and words.usd_per_month.central < words.api_usd_per_month
        answer = "That is less than the invoice." if less else "The API is cheaper."
        return [f"{invoice}; {_machines(words)} for the same tokens: {ours} a month ({words.label}). {answer}"]
    return [_payback(words, invoice)]


def _payback(words: Words, invoice: str) -> str:
    months, life = words.payback_months, words.life_years
    assert months is not None  # noqa: S101 - the caller looked
    assert life is not None  # noqa: S101
    running = (
        ""
        if words.running_usd_per_month is None
        else f" Running them costs {usd_two(words.running_usd_per_month)} a month."
    )
    buying = f"buying {_machines(words)} for them"
    never = f"{two(months.never * 100)} % of {_DRAWS}"
    if months.never >= _MOST:
        share = (
            f" in {never}, and does within its life of {_years(life)} years in {_within(words)}"
            if months.never < 1
            else ""
        )
        return f"Never: {invoice}, and {buying} does not pay back{share}.{running}"
    if months.central is None:
        early = "" if months.p5 is None else f", and in the best 5 % after {two(months.p5)} months or less"
        return f"Hardly: {invoice}, and {buying} does not pay back in {never}{early}.{running}"
    return (
        f"{invoice}; {buying} pays back in {_spread(months, two)} months, and within a life of {_years(life)} years in "
        f"{_within(words)} of {_DRAWS}.{running}"
    )


def _years(life: Range) -> str:
    return f"{life}".replace("..", " to ")


def _within(words: Words) -> str:
    return f"{two((words.within_life or Decimal(0)) * 100)} %"


def _machines(words: Words) -> str:
    count = words.needed.central if words.needed is not None else None
    return "the nodes" if count is None else "1 node" if count == 1 else f"{count:,.0f} nodes"


def _tokens(words: Words) -> str:
    if words.usd_per_m.central is None:
        return "What a million tokens costs on this node is not known: nothing says how many it serves."
    busy = "always full" if words.full else "as busy as said"
    return (
        f"A million tokens of this mix costs {spread_usd(words.usd_per_m)} on the node, {busy}, and "
        f"{show_usd(words.api_usd_per_m)} at {words.offer}, over the hours of a week."
    )


def _utilisation(words: Words) -> str:
    middle = words.utilisation.central
    if middle is None:
        return ""
    told = spread_share(words.utilisation)
    if middle > 1:
        return f"No load is enough at this SLO: both would cost the same only at {told} of the capacity."
    return f"Both cost the same when the node is {told} busy."


def _volume(words: Words) -> str:
    if words.volume.central is None:
        return "The API charges nothing for these tokens."
    told = f"The node's month costs what {spread_tokens(words.volume)} tokens cost at the API"
    if words.reachable is None:
        return f"{told}; whether it serves so many is not known."
    served = f"{tokens(words.capacity_m)} is what it serves a month"
    if words.reachable:
        return f"{told}; {served}."
    return f"{told}; {served}, so the API stays cheaper at any volume."
