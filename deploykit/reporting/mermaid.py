"""Report -> charts that GitHub and GitLab draw from text (Mermaid's `xychart-beta`): the two bills, a month by volume.

Names may be anybody's: in a chart they are letters, digits and a few signs, so that none ends its quotation.
"""

import re
from collections.abc import Iterator, Sequence

from deploykit.costing.decision import Decision
from deploykit.reporting.report import Report
from deploykit.units import MILLION

MOST_BARS = 10
_LONGEST = 48


def charts(report: Report) -> str:
    """Return the charts as Markdown, fenced, one after the other; nothing to draw is no text."""
    return "\n\n".join(f"```mermaid\n{chart}\n```" for chart in _charts(report))


def _charts(report: Report) -> Iterator[str]:
    comparison = report.comparison
    bars = [(f"node: {rate.label}", float(rate.usd_per_m)) for rate in comparison.rates]
    bars += [
        (f"{offer.provider} {offer.api_model}", float(offer.usd_per_m_same_hits))
        for offer in comparison.offers
        if offer.compared
    ]
    if any(usd > 0 for _, usd in bars):
        yield _bars("USD per million tokens of the same mix", bars[:MOST_BARS])
    if report.decisions and report.decisions[0].staircase:
        yield _stairs(report.decisions[0])


def _bars(title: str, bars: Sequence[tuple[str, float]]) -> str:
    names = ", ".join(_text(name) for name, _ in bars)
    top = 1.1 * max(usd for _, usd in bars)
    values = ", ".join(_number(usd) for _, usd in bars)
    return "\n".join(
        (
            "xychart-beta horizontal",
            f"  title {_text(title)}",
            f"  x-axis [{names}]",
            f'  y-axis "USD" 0 --> {_number(top)}',
            f"  bar [{values}]",
        )
    )


def _stairs(made: Decision) -> str:
    """Draw what a month costs: nodes as bars, the API's invoice for as many tokens as a line."""
    steps = made.staircase
    names = ", ".join(_text(f"{step.nodes} x, {float(step.up_to_m) * MILLION / 1e9:.3g} B") for step in steps)
    ours, theirs = (
        [float(v) for v in values]
        for values in zip(*((s.usd_per_month, s.api_usd_per_month) for s in steps), strict=True)
    )
    return "\n".join(
        (
            "xychart-beta",
            f"  title {_text('A month in USD: bars the nodes, line the API')}",
            f"  x-axis [{names}]",
            f'  y-axis "USD a month" 0 --> {_number(1.1 * max(*ours, *theirs))}',
            f"  bar [{', '.join(map(_number, ours))}]",
            f"  line [{', '.join(map(_number, theirs))}]",
        )
    )


def _text(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9 .,:/+%-]+", " ", text)
    return f'"{" ".join(plain.split())[:_LONGEST].strip() or "unnamed"}"'


def _number(value: float) -> str:
    """Return a plain decimal: the grammar knows no exponents."""
    digits = f"{value:.3g}"
    return f"{float(digits):.10f}".rstrip("0").rstrip(".") if "e" in digits else digits
