"""Parity -> the report's part about it: what matches, what differs, what was never measured, and scores as published."""

from deploykit.catalog.score import PublishedScores
from deploykit.costing.costs import Comparison
from deploykit.costing.parity import OfferParity
from deploykit.reporting import words
from deploykit.reporting.content import Section, Table, code
from deploykit.units import show_usd


def sections(
    found: tuple[OfferParity, ...], published: tuple[PublishedScores, ...], comparison: Comparison
) -> tuple[Section, ...]:
    """Return the parts that a reader opens: none of a report without offers."""
    if not found:
        return ()
    titles = {offer.offer: offer.title for offer in comparison.offers}
    rows = [
        (titles.get(each.offer, each.offer) if first else "", row.what, row.verdict, row.says)
        for each in found
        for first, row in zip((True, *[False] * len(each.rows)), each.rows, strict=False)
        if each.comparable is not None or any(r.verdict != "not measured" for r in each.rows)
    ]
    table = Table(header=("Offer", "What", "Verdict", "Why"), rows=tuple(rows), align="llll")
    same = Section(
        title="Is it the same service?",
        says=tuple(f"{titles.get(each.offer, each.offer)}: {each.says}." for each in found),
        tables=(table,) if rows else (),
    )
    scores = scores_table(published)
    return (same, *((Section(title="Published scores", tables=(scores,)),) if scores.rows else ()))


def mark(found: tuple[OfferParity, ...], offer: str) -> str:
    """Return what stands beside an offer's name where it is another service than ours."""
    return " (not comparable)" if any(each.offer == offer and each.comparable is False for each in found) else ""


def scores_table(published: tuple[PublishedScores, ...]) -> Table:
    """Return scores as they were published; nothing here was run by us, and no figure of ours rests on them."""
    rows = [
        (
            each.name,
            score.variant or "not told",
            score.benchmark,
            f"{score.score}",
            f"{score.kind}{f' ({score.harness})' if score.harness else ''}",
            "not told" if score.usd_per_task is None else show_usd(score.usd_per_task),
            words.day(score.as_of),
            code(score.source),
        )
        for each in published
        for score in each.scores
    ]
    return Table(
        caption="As published, by the vendor or by who ran the benchmark. None was run here, and nothing here rests on them.",
        header=("Model", "Release", "Benchmark", "Score", "By", "$ per task", "Date", "Source"),
        rows=tuple(rows),
        align="lllrlrll",
    )
