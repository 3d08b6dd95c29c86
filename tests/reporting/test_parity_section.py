"""The report's part about parity: a row for each thing, offers of which nothing is known in one line, scores as published."""

import datetime as dt
from decimal import Decimal

from deploykit.catalog.score import PublishedScores, Score
from deploykit.costing.parity import OfferEvidence, ParityInputs, Service, parity
from deploykit.reporting.parity import mark, scores_table, sections
from tests.reporting.builders import make_report

OURS = Service(
    run="r", workload="w", usable=True, requests=9, tokens_per_s_per_user=50, ttft_p50_s=0.5, output_tokens_per_request=9
)  # fmt: skip
SCORE = Score(
    benchmark="Bench", score=Decimal("61.5"), kind="independent harness", harness="Rig", usd_per_task=Decimal("0.4"),
    source="site.example", as_of=dt.date(2026, 5, 1),
)  # fmt: skip


def test_an_offer_of_which_nothing_is_known_has_a_line_and_no_rows():
    comparison = make_report().comparison
    first, *others = [offer.offer for offer in comparison.offers]
    inputs = ParityInputs(offers=(OfferEvidence(offer=first, tier="batch"),))
    found = parity(inputs, OURS, [first, *others])
    (same,) = sections(found, (), comparison)
    assert len(same.says) == len(found)
    (table,) = same.tables
    assert [row[1] for row in table.rows] == [row.what for row in found[0].rows]
    assert [bool(row[0]) for row in table.rows] == [True, False, False, False, False]
    assert (mark(found, first), mark(found, "another")) == (" (not comparable)", "")


def test_nothing_known_at_all_is_no_table():
    comparison = make_report().comparison
    names = [offer.offer for offer in comparison.offers]
    (same,) = sections(parity(ParityInputs(), OURS, names), (), comparison)
    assert same.tables == ()
    assert sections((), (), comparison) == ()


def test_scores_stand_as_published():
    table = scores_table((PublishedScores(name="m", scores=(SCORE,)),))
    assert table.rows == (
        ("m", "not told", "Bench", "61.5", "independent harness (Rig)", "$0.40", "2026-05-01", "`site.example`"),
    )
