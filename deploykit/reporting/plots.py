"""Report -> its plots: the two bills, and those of the load test."""

from typing import TYPE_CHECKING

from deploykit.base import Value
from deploykit.reporting import words
from deploykit.reporting.decision_plots import decision_plots
from deploykit.reporting.drawing import FIRST, GRID, INK, SECOND, Plot, draw
from deploykit.reporting.load_plots import load_plots
from deploykit.reporting.report import Report
from deploykit.units import show_usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOG_BEYOND = 30
"""Bars that differ by more than this factor are drawn on a logarithmic scale, as points."""


def plots(report: Report) -> tuple[Plot, ...]:
    """Draw the two bills, the decision and the load test; what was not measured has no plot."""
    decided = decision_plots(report.decisions[0]) if report.decisions else ()
    return (_bills(report), *decided, *load_plots(report))


class _Bar(Value):
    label: str
    usd: float
    ours: bool


def _bills(report: Report) -> Plot:
    comparison = report.comparison
    bars = [_Bar(label=f"this node, {rate.label}", usd=float(rate.usd_per_m), ours=True) for rate in comparison.rates]
    for offer in comparison.offers:
        if offer.compared:
            name = f"{offer.provider} {offer.api_model}"
            bars.append(_Bar(label=name, usd=float(offer.usd_per_m_same_hits), ours=False))
            if words.has_two_bills(offer):
                bars.append(_Bar(label=f"{name}, no cache hits", usd=float(offer.usd_per_m_no_hits), ours=False))
    some = [bar.usd for bar in bars if bar.usd > 0]
    logarithmic = bool(some) and max(some) / min(some) > _LOG_BEYOND
    reads = "; ".join(f"{bar.label}: {_usd(bar.usd)}" for bar in bars)
    says = f"{comparison.mix.says}. The node's bars are at the measured load: an idle hour costs the same."

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        _paint_bars(axes, bars, logarithmic=logarithmic)

    title = "Two bills: $ per million tokens of the same mix"
    title += " (logarithmic)" if logarithmic else ""
    return draw("bills", title, says, height=0.7 + 0.36 * len(bars), paint=paint, reads=reads)


def _paint_bars(axes: "Axes", bars: list[_Bar], *, logarithmic: bool) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    places = list(range(len(bars)))
    values, colours = [bar.usd for bar in bars], [FIRST if bar.ours else SECOND for bar in bars]
    largest = max(values) or 1.0
    if logarithmic:
        # A bar's length means nothing without a zero: points, on lines that lead to their names.
        low = min(value for value in values if value > 0) / 3
        axes.set_xscale("log")
        axes.set_xlim(low, largest * 12)
        axes.hlines(places, low, [max(value, low) for value in values], colors=GRID, linewidth=1.0)
        for place, value, colour in zip(places, values, colours, strict=True):
            axes.plot([max(value, low)], [place], marker="o", markersize=6, color=colour)
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.barh(places, values, color=colours, height=0.62)
        axes.set_xlim(0, largest * 1.22)
    for place, bar in zip(places, bars, strict=True):
        axes.annotate(_usd(bar.usd), (bar.usd, place), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, [_short(bar.label) for bar in bars])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"${value:g}"))


def _usd(value: float) -> str:
    from decimal import Decimal

    return show_usd(Decimal(str(value)))


def _short(label: str) -> str:
    return label if len(label) <= 44 else f"{label[:43]}…"
