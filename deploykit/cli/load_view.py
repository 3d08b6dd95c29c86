"""What a load test looks like while it runs: a few figures on a terminal, one line in a log."""

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

from deploykit.units import MILLION, show_usd
from deploykit.workflows.ports import Progress

if TYPE_CHECKING:
    from rich.table import Table

_OVER_S = 10.0
"""Rates are those of the last so many seconds."""


class LoadView:
    """Follows a load test's progress; rates are over the last ten seconds, dollars over all of it."""

    def __init__(self) -> None:
        self._seen: deque[Progress] = deque()

    def add(self, progress: Progress) -> None:
        """Take the latest news."""
        if self._seen and progress.elapsed_s < self._seen[-1].elapsed_s:  # another load test
            self._seen.clear()
        self._seen.append(progress)
        while len(self._seen) > 2 and progress.elapsed_s - self._seen[1].elapsed_s >= _OVER_S:
            self._seen.popleft()

    @property
    def _now(self) -> Progress:
        return self._seen[-1]

    def _per_s(self, name: str) -> float | None:
        first, last = self._seen[0], self._seen[-1]
        seconds = last.elapsed_s - first.elapsed_s
        return (getattr(last, name) - getattr(first, name)) / seconds if seconds > 0 else None

    def usd_per_m(self) -> Decimal | None:
        """Return the dollars per million tokens of all that was answered so far; None where no rate is known."""
        now = self._now
        tokens = now.input_tokens + now.output_tokens
        if now.usd_per_hour is None or not tokens or now.elapsed_s <= 0:
            return None
        return now.usd_per_hour * Decimal(now.elapsed_s) / 3600 / tokens * MILLION

    def figures(self) -> list[tuple[str, str]]:
        """Return names and figures, those that are known."""
        now = self._now
        rate, tokens = self._per_s("finished"), self._per_s("output_tokens")
        usd = self.usd_per_m()
        found = {
            "stage": f"{now.stage + 1} of {now.stages}" if now.stages > 1 else "",
            "answered": f"{now.finished - now.failed:,}" + (f", {rate:.1f}/s" if rate is not None else ""),
            "failed": f"{now.failed:,}" if now.failed else "",
            "in flight": f"{now.in_flight:,}",
            "output": f"{tokens:,.0f} tokens/s" if tokens is not None else "",
            "TTFT": _pair(now.ttft_p50_s, now.ttft_p99_s),
            "TPOT": _pair(now.tpot_p50_s, None),
            "cost so far": f"{show_usd(usd)}/M at {show_usd(now.usd_per_hour)}/h" if usd is not None else "",
            "left": f"{max(0.0, now.expected_s - now.elapsed_s):.0f} s",
        }
        return [(name, text) for name, text in found.items() if text]

    def line(self) -> str:
        """Return it as one line."""
        return ", ".join(f"{name} {text}" for name, text in self.figures())

    def table(self) -> "Table | str":
        """Return it as two pairs of columns that fit a narrow terminal; nothing before the first news."""
        if not self._seen:
            return ""
        from rich.table import Table

        made = Table.grid(padding=(0, 2))
        for number in range(4):
            made.add_column(no_wrap=True, style="dim" if number % 2 == 0 else "")
        shown = self.figures()
        for first in range(0, len(shown), 2):
            cells = [text for pair in shown[first : first + 2] for text in pair]
            made.add_row(*(["  " + cells[0], *cells[1:]]))
        return made


def _pair(median: float | None, tail: float | None) -> str:
    if median is None:
        return ""
    return f"p50 {_ms(median)}" + (f", p99 {_ms(tail)}" if tail is not None else "")


def _ms(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
