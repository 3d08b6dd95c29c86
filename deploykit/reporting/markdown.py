"""Report -> Markdown for a pull request's comment: the verdict first, then one table, details folded."""

import re

from deploykit.caveat import Caveat, Weight
from deploykit.costing.costs import RateCost
from deploykit.reporting import words
from deploykit.reporting.report import Report, sentences
from deploykit.reporting.sections import DETAILS
from deploykit.reporting.table import escape, quoted, sentence, table
from deploykit.units import show_usd

COMMENT_LIMIT = 65_536
"""Characters that a comment may have on GitHub."""

_COLUMNS = 4
_ROOM = 600


def markdown(report: Report) -> str:
    """Return the report as Markdown that fits a comment; what does not fit is left out and named."""
    head = "\n\n".join(
        part
        for part in (
            f"### {sentence(report.headline)}",
            marker(report),
            sentence(_rest(report)),
            _subject(report),
            _costs(report),
            _caveats(report),
            _latency(report),
            _not_exercised(report),
        )
        if part
    )
    text, left_out = head, []
    for title, body in DETAILS:
        content = body(report)
        folded = f"\n\n<details><summary>{title}</summary>\n\n{content}\n\n</details>"
        if not content:
            continue
        if len(text) + len(folded) + _ROOM > COMMENT_LIMIT:
            left_out.append(title)
        else:
            text += folded
    if left_out:
        text += f"\n\nLeft out, to fit a comment (they are in report.html): {', '.join(left_out)}."
    return f"{text}\n\n<sub>deploykit, {words.moment(report.made_at)}. Updated in place.</sub>\n"


def marker(report: Report) -> str:
    """Return the hidden line by which a comment is found again, to be edited."""
    safe = [re.sub(r"[^A-Za-z0-9.]+", "-", name) for name in (report.plan.model, report.plan.node)]
    return f"<!-- deploykit:report:{safe[0]}:{safe[1]} -->"


def summary(report: Report) -> str:
    """Return a few plain lines for a terminal."""
    comparison, priced = report.comparison, report.measurements.priced
    lines = [report.headline]
    rest = _rest(report)
    lines += ([rest] if rest else []) + ["", f"$ per million tokens: {words.mix_line(comparison)}"]
    rows = [("this node", show_usd(rate.usd_per_m), words.rate_title(rate)) for rate in comparison.rates]
    first = comparison.rates[0]
    for offer in comparison.offers:
        if offer.compared:
            ours, without = words.against(comparison.pairing(first.rate, offer.offer))
            rows.append((offer.provider, show_usd(offer.usd_per_m_same_hits), f"{words.offer_title(offer)}: {ours}"))
            if words.has_two_bills(offer):
                rows.append(("", show_usd(offer.usd_per_m_no_hits), f"with no cache hits: {without}"))
    name, price = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    lines += [f"  {row[0]:<{name}}  {row[1]:>{price}}  {row[2]}" for row in rows]
    lines += [
        "",
        f"{priced.describes}: {words.number(priced.output_tokens_per_s)} output tokens/s, "
        + ", ".join(
            f"{title} p50 {words.quantile(getattr(priced, key), 'p50')} p99 {words.quantile(getattr(priced, key), 'p99')}"
            for key, (title, _) in words.METRICS.items()
        )
        + f"; SLO {words.slo(priced)}; load test {report.measurements.verdict}",
    ]
    heavy = [*report.caveats_of(Weight.INVALID), *report.caveats_of(Weight.DOUBT)]
    lines += ["", *(f"{caveat.weight}: {caveat.says}" for caveat in heavy)] if heavy else []
    return "\n".join(lines)


def _rest(report: Report) -> str:
    """Return what the verdict says beyond the headline."""
    said = report.verdict if report.rehearsal else " ".join(sentences(report.verdict)[1:])
    return said.strip()


def _subject(report: Report) -> str:
    plan, served = report.plan, report.plan.stand_in
    stand_in = f", really served: {quoted(served)}" if served else ""
    return (
        f"{escape(plan.title)}{stand_in} on {plan.nodes} x {quoted(plan.node)}, {quoted(plan.checkpoint.name)}, "
        f"{plan.parallelism}, vLLM {escape(report.deployment.engine_version)}, workload {quoted(plan.workload)}, "
        f"{words.moment(report.load.generator.started_at)}. Load test **{report.measurements.verdict}**, "
        f"SLO **{words.slo(report.measurements.priced)}**."
    )


def _costs(report: Report) -> str:
    comparison = report.comparison
    rates = comparison.rates[:_COLUMNS]
    header = ["$ per million tokens of this mix", "API", *(sentence(words.rate_title(r)) for r in rates)]

    def good(rate: RateCost) -> str:
        return "none was good" if rate.usd_per_1k_good_requests is None else show_usd(rate.usd_per_1k_good_requests)

    rows = [
        ["**This node**", "", *(f"**{show_usd(rate.usd_per_m)}**" for rate in rates)],
        ["This node, per 1,000 good requests", "", *(good(rate) for rate in rates)],
    ]
    for offer in comparison.offers:
        if not offer.compared:
            continue
        cells = [words.against(comparison.pairing(rate.rate, offer.offer)) for rate in rates]
        title = sentence(words.offer_title(offer))
        rows.append([title, show_usd(offer.usd_per_m_same_hits), *(cell[0] for cell in cells)])
        if words.has_two_bills(offer):
            rows.append(["— with no cache hits", show_usd(offer.usd_per_m_no_hits), *(cell[1] for cell in cells)])
    more = len(comparison.rates) - len(rates)
    note = (
        f"The mix: {words.mix_line(comparison)}. In the columns of the node: its cost over the API's, and how busy it "
        "has to be, of the measured load, to cost the same."
    )
    note += f" {more} more rates are under Prices." if more else ""
    return f"{table(header, rows, 'l' + 'r' * (len(header) - 1))}\n\n{note}"


def _caveats(report: Report) -> str:
    def line(caveat: Caveat) -> str:
        return f"- **{caveat.weight.capitalize()}:** {sentence(caveat.says)}"

    heavy = [*report.caveats_of(Weight.INVALID), *report.caveats_of(Weight.DOUBT)]
    notes = report.caveats_of(Weight.NOTE)
    shown = "\n".join(["**Caveats**", "", *(line(caveat) for caveat in heavy)]) if heavy else ""
    if notes:
        folded = "\n".join(line(caveat) for caveat in notes)
        shown += f"\n\n<details><summary>{len(notes)} notes</summary>\n\n{folded}\n\n</details>"
    return shown.strip()


def _latency(report: Report) -> str:
    measurements = report.measurements
    header = [
        "Stage",
        "Good",
        "Output tok/s",
        "Tok/s",
        *(f"{title} p50 / p99" for title, _ in words.METRICS.values()),
        "SLO",
    ]
    rows = []
    for index, stage in enumerate(measurements.stages):
        mark = "**" if index == measurements.priced_stage and len(measurements.stages) > 1 else ""
        rows.append(
            [
                f"{mark}{escape(stage.describes)}{mark}",
                f"{stage.good_requests:,} of {stage.requests:,}",
                words.number(stage.output_tokens_per_s),
                words.number(stage.total_tokens_per_s),
                *(
                    f"{words.quantile(getattr(stage, key), 'p50')} / {words.quantile(getattr(stage, key), 'p99')}"
                    for key in words.METRICS
                ),
                words.slo(stage),
            ]
        )
    priced = "\n\nThe stage in bold is the one that is priced." if len(rows) > 1 else ""
    return f"{table(header, rows, 'l' + 'r' * 7 + 'l')}{priced}"


def _not_exercised(report: Report) -> str:
    if not report.not_exercised:
        return ""
    return "\n".join(["**Not exercised by this run**", "", *(f"- {sentence(line)}" for line in report.not_exercised)])
