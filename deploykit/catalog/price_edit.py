"""A price profile's text and a new price list -> its text with the last period ended and the new one begun.

The file stays as people wrote it, comments and all: only lines are added, and one `end` is set.
"""

import datetime as dt
import re

from deploykit.base import Value
from deploykit.catalog.price import ContextTier, PeakWindow, UsdPerMillion

_PERIOD = re.compile(r"^  - ")
_END = re.compile(r"^    end:")
_KEY = re.compile(r"^[A-Za-z_]+:")


class NewPrice(Value):
    """A price list from some day on."""

    usd_per_m: UsdPerMillion
    peak_windows: tuple[PeakWindow, ...] = ()
    peak_usd_per_m: UsdPerMillion | None = None
    tiers: tuple[ContextTier, ...] = ()
    source: str


def with_period(text: str, new: NewPrice, *, start: dt.date) -> str:
    """Return the file's text with one more period; ValueError for a file that is laid out in another way."""
    lines = text.splitlines()
    try:
        first = lines.index("periods:")
    except ValueError:
        msg = "there is no line `periods:`"
        raise ValueError(msg) from None
    after = next((i for i in range(first + 1, len(lines)) if _KEY.match(lines[i])), len(lines))
    begun = [i for i in range(first + 1, after) if _PERIOD.match(lines[i])]
    if not begun:
        msg = "the periods are not written as a list, indented by two"
        raise ValueError(msg)
    last = lines[begun[-1] : after]
    ended = [line for line in last if not _END.match(line)]
    ended.insert(1, f"    end: {start - dt.timedelta(days=1)}")
    return "\n".join([*lines[: begun[-1]], *ended, *_period(new, start), *lines[after:]]) + "\n"


def _period(new: NewPrice, start: dt.date) -> list[str]:
    lines = [f"  - start: {start}", f"    usd_per_m: {_list(new.usd_per_m)}"]
    if new.peak_usd_per_m is not None:
        lines.append("    peak_windows:")
        for window in new.peak_windows:
            days = ", ".join(window.days)
            lines.append(f'      - {{days: [{days}], start: "{window.start:%H:%M}", end: "{window.end:%H:%M}"}}')
        lines.append(f"    peak_usd_per_m: {_list(new.peak_usd_per_m)}")
    if new.tiers:
        lines.append("    tiers:")
        for tier in new.tiers:
            lines += [
                f"      - above_input_tokens: {tier.above_input_tokens}",
                f"        usd_per_m: {_list(tier.usd_per_m)}",
            ]
    return [*lines, f"    source: {new.source}", f"    as_of: {start}"]


def _list(prices: UsdPerMillion) -> str:
    cached = "null" if prices.cached_input is None else f'"{prices.cached_input:f}"'
    return f'{{input: "{prices.input:f}", cached_input: {cached}, output: "{prices.output:f}"}}'
