"""Report -> report.html: one page with everything in it, that loads nothing and runs nothing."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from deploykit.measuring.measurements import StageMeasurement
from deploykit.reporting import decided, measured, searched, sections, words
from deploykit.reporting import plots as drawing
from deploykit.reporting.drawing import Plot
from deploykit.reporting.load import LoadTested
from deploykit.reporting.load_plots import load_plots
from deploykit.reporting.loadtest_report import LoadTestReport, loadtest_details
from deploykit.reporting.report import Report, rest
from deploykit.units import show_usd

_RATES = 6


def html(report: Report, *, draw: Callable[[Report], tuple[Plot, ...]] = drawing.plots) -> str:
    """Return the report as one self-contained HTML page; `draw` makes its plots."""
    drawn = {plot.name: plot for plot in draw(report)}
    return _template("page.html.j2").render(
        report=report,
        priced=report.measurements.priced,
        rest=rest(report),
        subject=sections.subject(report),
        costs=sections.costs(report, most_rates=_RATES),
        costs_note=sections.costs_note(report, most_rates=_RATES),
        details=sections.details(report),
        figures=_figures(report),
        bills=drawn.pop("bills", None),
        decided=decided.figures_table(report.decisions) if report.decisions else None,
        deciding=tuple(drawn.pop(name) for name in ("breakeven", "staircase", "tornado") if name in drawn),
        **_speed(report, drawn),
        memory=_memory(report),
        made_at=words.moment(report.made_at),
    )


def loadtest_html(report: LoadTestReport, *, draw: Callable[[LoadTestReport], tuple[Plot, ...]] = load_plots) -> str:
    """Return the report of a load test alone as one self-contained HTML page."""
    priced = report.measurements.priced
    good = f"{priced.good_requests:,} of {priced.requests:,}"
    return _template("loadtest.html.j2").render(
        report=report,
        figures=(
            ("Load test", report.measurements.verdict, f"SLO {words.slo(priced)}"),
            ("Good requests", words.share(priced.good_requests / priced.requests if priced.requests else None), good),
            *_speed_figures(priced),
            ("Tokens/s for each user", words.number(priced.tokens_per_s_per_user), "1 / median TPOT"),
        ),
        details=loadtest_details(report),
        made_at=words.moment(report.made_at),
        **_speed(report, {plot.name: plot for plot in draw(report)}),
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
    return (
        ("This node", f"{show_usd(rate.usd_per_m)}/M", words.rate_title(rate)),
        ("API, same tokens", f"{show_usd(offer.usd_per_m_same_hits)}/M", words.offer_title(offer)),
        ("Ours over theirs", ratio, f"break-even: {busy or 'unknown'}"),
        *_speed_figures(priced),
    )


def _speed(report: LoadTested, drawn: dict[str, Plot]) -> dict[str, Any]:
    """Return what the part about latency and throughput shows."""
    wide = [drawn.pop(name) for name in ("throughput", "sweep") if name in drawn]
    return {
        "latency": measured.latency(report),
        "intervals": measured.intervals(report),
        "client": measured.client(report),
        "answers": searched.answer(report),
        "wide": wide,
        "latencies": tuple(drawn.values()),
    }


def _speed_figures(priced: StageMeasurement) -> tuple[tuple[str, str, str], ...]:
    ttft, tpot = words.tail(priced.ttft), words.tail(priced.tpot)
    return (
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
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("deploykit.reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline
    environment.filters["figures"] = _figures_in
    return environment.get_template(name)
