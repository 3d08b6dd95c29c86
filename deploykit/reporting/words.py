"""Numbers as a reader wants them, the same in every form of the report; unknown is said."""

import datetime as dt
from collections.abc import Callable

from deploykit.costing.costs import Comparison, OfferCost, Pairing, RateCost
from deploykit.costing.verdict import show_ratio, show_utilisation
from deploykit.measuring.measurements import Interval, Quantiles, StageMeasurement
from deploykit.units import show_usd

METRICS = {
    "ttft": ("TTFT", "Time to first token: from the moment the schedule wanted the request sent to the first text."),
    "tpot": ("TPOT", "Time per output token after the first: (last - first) / (output tokens - 1), per request."),
    "itl": (
        "ITL",
        "Inter-token latency: gaps between streamed events that carried text; withheld where over 5 % of them shared a read.",
    ),
    "e2e": ("E2E", "End to end: from the moment the schedule wanted the request sent to the last text."),
}

MEANINGS = (
    "TTFT, first answer token: the same clock to the first text of the answer itself, reasoning left out.",
    "Tokens/s for each user: 1 / median TPOT.",
    "Output tokens/s: output tokens that came in the window, those of a request that straddles an edge in part; all tokens/s adds input tokens, when their request's first token comes.",
    "Quantiles are exact order statistics, over the requests that ended in the window; `too few` means fewer values than the quantile needs (11 for p50, 64 for p90, 130 for p95, 662 for p99).",
    "Requests that failed, timed out or were cut off count as slower than any answer: a quantile that falls among them is told as `>` what it exceeds.",
    "Intervals hold at 95 %: of quantiles by binomial order statistics, of rates by a circular block bootstrap within the run (they do not know how runs differ), of repeated runs by Student's t. ITL has none: gaps of one answer depend on each other.",
    "The window begins where output tokens/s, requests in flight and TTFT were all steady (MSER-5), never before the stated warm-up, and ends when sending stops. Tokens are those of the server's usage.",
)
"""What else a reader of the numbers must know; docs/reference/definitions.md says the same."""


def seconds(value: float | None) -> str:
    """Return a duration with three significant digits, in ms below one second."""
    if value is None:
        return "unknown"
    if abs(value) < 0.9995:
        return f"{_three(value * 1000)} ms"
    return f"{_three(value)} s"


def number(value: float | None) -> str:
    """Return a number with three significant digits, or whole from 100 on."""
    return "unknown" if value is None else _three(value)


def count(value: int | None) -> str:
    """Return a count with thousands separated."""
    return "unknown" if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """Return a share in percent."""
    return "unknown" if value is None else f"{100 * value:.4g} %"


def gib(value: float) -> str:
    """Return GiB with one decimal, or two digits where it is small."""
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def day(value: dt.date | None) -> str:
    """Return a date, or `unknown`."""
    return "unknown" if value is None else value.isoformat()[:10]


def moment(value: dt.datetime) -> str:
    """Return a moment in UTC to the minute."""
    return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def quantile(quantiles: Quantiles, name: str) -> str:
    """Return one quantile; that there are too few values for it, or that it is withheld, is said.

    One that falls among requests that failed exceeds what was seen: `> 12.0 s`.
    """
    value = getattr(quantiles, name)
    if value is not None:
        return seconds(value)
    if name in quantiles.beyond:
        return f"> {seconds(quantiles.beyond[name])}"
    if not quantiles.count:
        return "unknown"
    return "too few" if quantiles.max is not None else "withheld"


def quantile_with_interval(quantiles: Quantiles, name: str) -> str:
    """Return one quantile with its 95 % interval, such as `1.61 s (1.52 to 1.70)`."""
    interval = quantiles.intervals.get(name)
    told = quantile(quantiles, name)
    return told if interval is None or told.startswith(">") else f"{told} ({_range(interval, told, seconds)})"


def with_interval(value: float | None, interval: Interval | None) -> str:
    """Return a number with its 95 % interval, such as `1,205 (1,180 to 1,231)`."""
    return around(value, interval, number)


def around(value: float | None, interval: Interval | None, say: Callable[[float | None], str]) -> str:
    """Return a figure of any kind with its interval."""
    told = say(value)
    return told if interval is None else f"{told} ({_range(interval, told, say)})"


def _range(interval: Interval, told: str, say: Callable[[float], str]) -> str:
    low = say(interval.low)
    high = "unknown" if interval.high is None else say(interval.high)
    unit = next((unit for unit in (" ms", " s") if told.endswith(unit)), "")
    if unit and low.endswith(unit) and high.endswith(unit):
        low, high = low.removesuffix(unit), high.removesuffix(unit)
    return f"{low} or more" if interval.high is None else f"{low} to {high}"


def tail(quantiles: Quantiles) -> tuple[str, str]:
    """Return the highest quantile that there are enough values for, as its name and value; `p99` if there is none."""
    known = (name for name in ("p99", "p95", "p90") if getattr(quantiles, name) is not None or name in quantiles.beyond)
    name = next(known, "p99")
    return name, quantile(quantiles, name)


def middle_and_tail(quantiles: Quantiles) -> str:
    """Return p50 and p99 in a cell; a lower quantile that stands in for p99 is named."""
    name, value = tail(quantiles)
    middle = quantile(quantiles, "p50")
    if middle == value:
        return middle
    return f"{middle} / {value}" if name == "p99" else f"{middle} / {value} ({name})"


def slo(stage: StageMeasurement) -> str:
    """Return whether a stage met the SLO."""
    return "met" if stage.slo_met else "missed"


def rate_title(rate: RateCost) -> str:
    """Return a rate with its dollars per hour."""
    return f"{rate.label}, {show_usd(rate.usd_per_hour)}/h"


def offer_title(offer: OfferCost) -> str:
    """Return an offer's provider and model, the hours of its price, and its date."""
    model = "" if offer.status == "same model" else f"; {offer.status}"
    return f"{offer.provider} {offer.api_model} ({offer.hours}, {day(offer.as_of)}{model})"


def has_two_bills(offer: OfferCost) -> bool:
    """Return whether cache hits change the invoice."""
    return offer.usd_same_hits != offer.usd_no_hits


def gpus(count: int) -> str:
    """Return how many GPUs a node has."""
    return f"{count} GPUs each" if count else "no GPU"


def against(pairing: Pairing | None) -> tuple[str, str]:
    """Return ratio and break-even of one rate against one offer: at our cache hit rate, and without hits."""
    if pairing is None:
        return "not compared", "not compared"

    def cell(ratio: str, busy: str) -> str:
        return ratio if ratio == busy else f"{ratio}, {busy}"

    return (
        cell(show_ratio(pairing.ratio), show_utilisation(pairing.break_even_utilisation)),
        cell(show_ratio(pairing.ratio_no_hits), show_utilisation(pairing.ratio_no_hits)),
    )


def mix_line(comparison: Comparison) -> str:
    """Return the mix that both bills are for."""
    return (
        f"{comparison.mix.says}; {comparison.mix.tokens.total:,} tokens of {comparison.requests:,} requests in "
        f"{_three(comparison.window_s)} s, {comparison.good_requests:,} of them good"
    )


def _three(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.9995 else f"{value:.2g}"
