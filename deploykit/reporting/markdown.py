"""Report -> Markdown for a pull request's comment: the verdict first, then one table, details folded."""

import re

from deploykit.caveat import Caveat, Weight
from deploykit.reporting import measured, searched, sections, words
from deploykit.reporting.mermaid import charts
from deploykit.reporting.report import Report, rest
from deploykit.reporting.table import details, folded, inline, table
from deploykit.units import show_usd

COMMENT_LIMIT = 65_536
"""Characters that a comment may have on GitHub."""

_RATES = 4
_MOST_CAVEATS = 40
_ROOM = 600
"""Left for the lines after the details."""


def markdown(report: Report) -> str:
    """Return the report as Markdown that fits a comment; what does not fit is left out and named."""
    text = "\n\n".join(part for part in _visible(report) if part)
    left_out = []
    drawn = charts(report)
    parts = [("Charts", details("Charts", drawn))] if drawn else []
    parts += [(section.title, folded(section)) for section in sections.details(report)]
    for title, body in parts:
        part = f"\n\n{body}"
        if len(text) + len(part) + _ROOM > COMMENT_LIMIT:
            left_out.append(title)
        else:
            text += part
    if left_out:
        text += f"\n\nLeft out, to fit a comment (it is in report.html): {', '.join(left_out)}."
    return f"{text}\n\n<sub>deploykit, {words.moment(report.made_at)}. Updated in place.</sub>\n"


def marker(report: Report) -> str:
    """Return the hidden line by which a comment is found again, to be edited."""
    model, node = (re.sub(r"[^A-Za-z0-9.]+", "-", name) for name in (report.plan.model, report.plan.node))
    return f"<!-- deploykit:report:{model}:{node} -->"


def summary(report: Report) -> str:
    """Return a few plain lines for a terminal."""
    lines = [report.headline, *([rest(report)] if rest(report) else [])]
    lines += [
        "",
        f"$ per million tokens: {words.mix_line(report.comparison)}",
        *_bill_lines(report),
        *(["", *report.decisions[0].says] if report.decisions else []),
        "",
        _speed(report),
        measured.client(report),
    ]
    heavy = [*report.caveats_of(Weight.INVALID), *report.caveats_of(Weight.DOUBT)]
    lines += ["", *(f"{caveat.weight}: {caveat.says}" for caveat in heavy)] if heavy else []
    return "\n".join(lines)


def _visible(report: Report) -> tuple[str, ...]:
    not_exercised = [f"- {inline(line)}" for line in report.not_exercised]
    return (
        f"### {inline(report.headline)}",
        marker(report),
        inline(rest(report)),
        inline(sections.subject(report)),
        table(sections.costs(report, most_rates=_RATES)),
        inline(sections.costs_note(report, most_rates=_RATES)),
        " ".join(inline(text) for text in report.decisions[0].says) if report.decisions else "",
        _caveats(report),
        table(measured.latency(report)),
        table(measured.intervals(report)),
        measured.client(report),
        *map(inline, searched.answer(report)),
        "\n".join(["**Not exercised by this run**", "", *not_exercised]) if not_exercised else "",
    )


def _caveats(report: Report) -> str:
    def line(caveat: Caveat) -> str:
        return f"- **{caveat.weight.capitalize()}:** {inline(caveat.says)}"

    heavy = [*report.caveats_of(Weight.INVALID), *report.caveats_of(Weight.DOUBT)]
    notes = report.caveats_of(Weight.NOTE)
    shown = ["**Caveats**", "", *(line(caveat) for caveat in heavy[:_MOST_CAVEATS])] if heavy else []
    if len(heavy) > _MOST_CAVEATS:
        shown.append(f"- and {len(heavy) - _MOST_CAVEATS} more in report.html")
    if notes:
        shown += ["", details(f"{len(notes)} notes", "\n".join(line(caveat) for caveat in notes[:_MOST_CAVEATS]))]
    return "\n".join(shown).strip()


def _bill_lines(report: Report) -> list[str]:
    comparison = report.comparison
    rows = [("this node", show_usd(rate.usd_per_m), words.rate_title(rate)) for rate in comparison.rates]
    first = comparison.rates[0]
    for offer in comparison.offers:
        if not offer.compared:
            continue
        ours, without = words.against(comparison.pairing(first.rate, offer.offer))
        rows.append((offer.provider, show_usd(offer.usd_per_m_same_hits), f"{words.offer_title(offer)}: {ours}"))
        if words.has_two_bills(offer):
            rows.append(("", show_usd(offer.usd_per_m_no_hits), f"with no cache hits: {without}"))
    name, price = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    return [f"  {row[0]:<{name}}  {row[1]:>{price}}  {row[2]}" for row in rows]


def _speed(report: Report) -> str:
    priced = report.measurements.priced
    latencies = ", ".join(
        f"{title} p50 {words.quantile(getattr(priced, key), 'p50')} {' '.join(words.tail(getattr(priced, key)))}"
        for key, (title, _) in words.METRICS.items()
    )
    return (
        f"{priced.describes}: {words.number(priced.output_tokens_per_s)} output tokens/s, {latencies}; "
        f"SLO {words.slo(priced)}; load test {report.measurements.verdict}"
    )
