"""Report -> report.html: one page with everything in it, that loads nothing and runs nothing."""

import re
from collections.abc import Callable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from deploykit.reporting import plots as drawing
from deploykit.reporting import sections, words
from deploykit.reporting.plots import Plot
from deploykit.reporting.report import Report, rest
from deploykit.units import show_usd

_RATES = 6


def html(report: Report, *, draw: Callable[[Report], tuple[Plot, ...]] = drawing.plots) -> str:
    """Return the report as one self-contained HTML page; `draw` makes its plots."""
    drawn = {plot.name: plot for plot in draw(report)}
    return _template().render(
        report=report,
        priced=report.measurements.priced,
        rest=rest(report),
        subject=sections.subject(report),
        costs=sections.costs(report, most_rates=_RATES),
        costs_note=sections.costs_note(report, most_rates=_RATES),
        latency=sections.latency(report),
        details=sections.details(report),
        figures=_figures(report),
        bills=drawn.pop("bills", None),
        throughput=drawn.pop("throughput", None),
        latencies=tuple(drawn.values()),
        memory=_memory(report),
        made_at=words.moment(report.made_at),
    )


def _figures(report: Report) -> tuple[tuple[str, str, str], ...]:
    """Return the numbers a reader looks for first: what it is, the number, and what it rests on."""
    comparison, priced = report.comparison, report.measurements.priced
    rate = comparison.rates[0]
    offer = min(
        (offer for offer in comparison.offers if offer.compared),
        key=lambda o: (o.status != "same model", o.usd_same_hits),
    )
    pairing = comparison.pairing(rate.rate, offer.offer)
    ratio, _, busy = words.against(pairing)[0].partition(", ")
    ttft, tpot = words.tail(priced.ttft), words.tail(priced.tpot)
    return (
        ("This node", f"{show_usd(rate.usd_per_m)}/M", words.rate_title(rate)),
        ("API, same tokens", f"{show_usd(offer.usd_per_m_same_hits)}/M", words.offer_title(offer)),
        ("Ours over theirs", ratio, f"break-even: {busy or 'unknown'}"),
        ("Output tokens/s", words.number(priced.output_tokens_per_s), priced.describes),
        (f"TTFT {ttft[0]}", ttft[1], f"p50 {words.quantile(priced.ttft, 'p50')}"),
        (f"TPOT {tpot[0]}", tpot[1], f"p50 {words.quantile(priced.tpot, 'p50')}"),
    )


def _memory(report: Report) -> tuple[tuple[str, float, str], ...]:
    """Return the memory plan as (name, share of what is available, GiB)."""
    memory = report.plan.memory
    parts = [(line.name, line.gib) for line in memory.lines] + [("KV cache", memory.kv_gib)]
    whole = sum(gib for _, gib in parts) or 1.0
    return tuple((name, round(100 * gib / whole, 2), words.gib(gib)) for name, gib in parts)


def _inline(text: str) -> Markup:
    """Escape a text; what stands between backticks becomes code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def _figures_in(text: str) -> Markup:
    """Escape a cell of numbers; a number stays on one line with its unit, so that the cell may break elsewhere."""
    return _inline(re.sub(r"(?<=[0-9]) (?=[a-z%])|(?<=[0-9] of) (?=[0-9])", "\u00a0", text))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("deploykit.reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline
    environment.filters["figures"] = _figures_in
    return environment.get_template("page.html.j2")
