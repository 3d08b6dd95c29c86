"""Report -> plots as inline SVG, drawn with matplotlib; colours are CSS variables, so a page's dark mode reaches them."""

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from deploykit.base import Value
from deploykit.reporting import words
from deploykit.reporting.distributions import Curve
from deploykit.reporting.report import Report
from deploykit.units import show_usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 4.8
_LOG_BEYOND = 30
"""Bars that differ by more than this factor are drawn on a logarithmic scale, as points."""

# matplotlib knows no CSS variables: it draws in these colours, and they are replaced in the SVG.
_INK, _SOFT, _GRID, _FIRST, _SECOND, _LIMIT = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f", "#101112"
_VARIABLES = {
    _INK: "var(--ink)", _SOFT: "var(--soft)", _GRID: "var(--grid)",
    _FIRST: "var(--first)", _SECOND: "var(--second)", _LIMIT: "var(--limit)",
}  # fmt: skip


class Plot(Value):
    """One plot, as an SVG element that can stand in a page."""

    name: str
    title: str
    says: str
    """A line for the caption."""
    svg: str


def plots(report: Report) -> tuple[Plot, ...]:
    """Draw the two bills, each latency's distribution, and throughput over time; what was not measured has no plot."""
    drawn = [_bills(report)]
    drawn += [_latency(report, curve) for curve in report.curves]
    if any(stage.throughput for stage in report.measurements.stages):
        drawn.append(_throughput(report))
    return tuple(drawn)


def _draw(
    name: str, title: str, says: str, *, height: float, paint: Callable[["Figure"], None], reads: str = ""
) -> Plot:
    """Draw one plot; `reads` is what a screen reader says instead of the caption's line."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": f"deploykit {name}",
            "font.family": "sans-serif",
            "font.size": 9,
            "text.color": _INK,
            "axes.labelcolor": _SOFT,
            "axes.edgecolor": _GRID,
            "xtick.color": _GRID,
            "ytick.color": _GRID,
            "xtick.labelcolor": _SOFT,
            "ytick.labelcolor": _SOFT,
            "grid.color": _GRID,
            "grid.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "lines.linewidth": 1.6,
            "lines.solid_joinstyle": "round",
            "axes.unicode_minus": False,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "xtick.minor.size": 0,
            "figure.dpi": 72,
            "path.simplify": False,
            "text.parse_math": False,
        }
    ):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Plot(name=name, title=title, says=says, svg=_inline(text.getvalue(), name, title, reads or says))


def _inline(svg: str, name: str, title: str, says: str) -> str:
    """Make a file of matplotlib's an element of a page: named for a screen reader, sized by CSS, ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id="|xlink:href="#|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"font: ([0-9.]+px) [^;\"]*", r"font-size: \1", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} '
        f'role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{html.escape(title)}</title><desc id="{name}-desc">{html.escape(says)}</desc>'
    )
    return head + svg[svg.index(">") + 1 :].strip()


def _latency(report: Report, curve: Curve) -> Plot:
    short, _ = words.METRICS[curve.metric]
    slo, quantiles = report.measurements.slo, getattr(report.measurements.priced, curve.metric)
    limit: float | None = getattr(slo, f"{curve.metric}_s", None)
    says = (
        f"{curve.count:,} values; p50 {words.quantile(quantiles, 'p50')}, p90 {words.quantile(quantiles, 'p90')}, "
        f"p99 {words.quantile(quantiles, 'p99')}, max {words.quantile(quantiles, 'max')}"
    )
    if limit is not None:
        says += f"; limit {words.seconds(limit)}"

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        axes = figure.add_subplot()
        largest = max(curve.seconds[-1], 1e-9)
        unit, factor = ("ms", 1000.0) if largest < 2 else ("s", 1.0)
        # A limit far to the right would squeeze the curve: then it is only said.
        shown = limit is not None and limit < 4 * largest
        axes.step([0.0, *(s * factor for s in curve.seconds)], [0.0, *curve.shares], where="post", color=_FIRST)
        axes.set_xlim(0, factor * max(largest, limit if shown and limit is not None else 0) * 1.04)
        if shown and limit is not None:
            axes.axvline(limit * factor, color=_LIMIT, linestyle=(0, (4, 3)), linewidth=1.2)
            axes.annotate(
                f"SLO {words.seconds(limit)}", (limit * factor, 0.04), xytext=(-4, 0), textcoords="offset points",
                ha="right", color=_LIMIT,
            )  # fmt: skip
        for name in ("p50", words.tail(quantiles)[0]):
            value = getattr(quantiles, name)
            if value is not None:
                share = float(name[1:]) / 100
                axes.plot([value * factor], [share], marker="o", markersize=4, color=_FIRST)
                near = value > 0.6 * axes.get_xlim()[1] / factor
                axes.annotate(
                    f"{name} {words.seconds(value)}", (value * factor, share), xytext=(-7 if near else 7, -20 if near else -11),
                    textcoords="offset points", ha="right" if near else "left",
                )  # fmt: skip
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(unit)

    return _draw(curve.metric, f"{short}: share of {_of(curve)} at or below", says, height=2.5, paint=paint)


def _of(curve: Curve) -> str:
    return "gaps" if curve.metric == "itl" else "requests"


def _throughput(report: Report) -> Plot:
    measurements, generator = report.measurements, report.load.generator
    priced = measurements.priced
    says = (
        f"{len(measurements.stages)} stages, one after the other; the priced one is shaded: "
        f"{words.number(priced.output_tokens_per_s)} output tokens per second over its window"
    )

    def paint(figure: "Figure") -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        for index, stage in enumerate(measurements.stages):
            starts = generator.stage_starts_s
            start = starts[stage.stage] if stage.stage < len(starts) else 0.0
            at = [start + point.at_s for point in stage.throughput]
            upper.plot(at, [p.output_tokens_per_s for p in stage.throughput], color=_FIRST)
            lower.plot(at, [p.requests_in_flight for p in stage.throughput], color=_SECOND)
            if index == measurements.priced_stage:
                for axes in (upper, lower):
                    axes.axvspan(stage.window_start_s, stage.window_end_s, color=_FIRST, alpha=0.09, linewidth=0)
        for axes, title in ((upper, "output tokens/s"), (lower, "requests in flight")):
            axes.set_ylim(bottom=0)
            axes.set_title(title, loc="left", fontsize=9, color=_SOFT)
            axes.yaxis.get_major_locator().set_params(nbins=4, integer=True)
        lower.set_xlabel("s since the load began")

    return _draw("throughput", "Throughput over time", says, height=3.4, paint=paint)


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
    return _draw("bills", title, says, height=0.7 + 0.36 * len(bars), paint=paint, reads=reads)


def _paint_bars(axes: "Axes", bars: list[_Bar], *, logarithmic: bool) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    places = list(range(len(bars)))
    values, colours = [bar.usd for bar in bars], [_FIRST if bar.ours else _SECOND for bar in bars]
    largest = max(values) or 1.0
    if logarithmic:
        # A bar's length means nothing without a zero: points, on lines that lead to their names.
        low = min(value for value in values if value > 0) / 3
        axes.set_xscale("log")
        axes.set_xlim(low, largest * 12)
        axes.hlines(places, low, [max(value, low) for value in values], colors=_GRID, linewidth=1.0)
        for place, value, colour in zip(places, values, colours, strict=True):
            axes.plot([max(value, low)], [place], marker="o", markersize=6, color=colour)
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.barh(places, values, color=colours, height=0.62)
        axes.set_xlim(0, largest * 1.22)
    for place, bar in zip(places, bars, strict=True):
        axes.annotate(_usd(bar.usd), (bar.usd, place), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, [_short(bar.label) for bar in bars])
    axes.tick_params(axis="y", labelcolor=_INK)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"${value:g}"))


def _usd(value: float) -> str:
    from decimal import Decimal

    return show_usd(Decimal(str(value)))


def _short(label: str) -> str:
    return label if len(label) <= 44 else f"{label[:43]}…"
