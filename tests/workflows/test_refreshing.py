"""What is proposed, and what is only said, against a collection of prices that is made up."""

import datetime as dt

import pytest

from deploykit.catalog.price import ContextTier
from deploykit.workflows.refreshing import UpstreamPrice, propose
from tests.catalog.test_price_edit import FILE
from tests.costing.builders import make_offer, make_peak_period, make_period, usd

NOW = dt.datetime(2026, 12, 5, 9, tzinfo=dt.UTC)  # a Saturday, when the offers have no peak hours
OLD, NEW, PEAK = usd("0.15", "0.003", "0.60"), usd("0.2", "0.02", "0.7"), usd("0.30", "0.006", "1.20")


class Collection:
    name = "a collection 1.0"

    def __init__(self, ordinary, peak=None, hours=(), tiers=()):
        self.ordinary, self.peak, self.hours, self.tiers = ordinary, peak, hours, tiers

    def price(self, _offer, at):
        prices = self.peak if at.hour in self.hours else self.ordinary
        return None if prices is None else UpstreamPrice(usd_per_m=prices, tiers=self.tiers)


def proposed(collection, offer=None):
    return propose(offer or make_offer(), FILE, file="profiles/prices/acme.yaml", source=collection, now=NOW)


def test_another_price_is_a_unified_diff_with_its_source():
    found = proposed(Collection(NEW))
    assert found.changed
    assert found.diff.startswith("--- a/profiles/prices/acme.yaml\n+++ b/profiles/prices/acme.yaml\n@@")
    added = [line for line in found.diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert added == [
        "+    end: 2026-12-04", "+  - start: 2026-12-05",
        '+    usd_per_m: {input: "0.2", cached_input: "0.02", output: "0.7"}',
        "+    source: a collection 1.0", "+    as_of: 2026-12-05",
    ]  # fmt: skip
    assert not [line for line in found.diff.splitlines() if line.startswith("-") and not line.startswith("---")]


HOURS = (1, 2, 3, 6, 7, 8, 9)


def test_peak_hours_are_compared_on_a_weekday():
    peaked = make_offer(make_peak_period())
    assert proposed(Collection(OLD, PEAK, HOURS), peaked).says == "is unchanged"
    dearer = proposed(Collection(OLD, usd("9", "9", "9"), HOURS), peaked)
    assert 'peak_usd_per_m: {input: "9"' in dearer.diff
    assert "days: [mon, tue, wed, thu, fri]" in dearer.diff


@pytest.mark.parametrize(
    ("collection", "offer", "says"),
    [
        (Collection(OLD), None, "is unchanged"),
        (Collection(None), None, "is not in a collection 1.0"),
        (Collection(OLD, None, (3,)), None, "is not in a collection 1.0"),
        (Collection(OLD, PEAK, (1, 2)), None, "has other peak hours"),
        (Collection(NEW), make_offer(status="retired"), "is no longer sold"),
        (Collection(NEW), make_offer(make_period(end=dt.date(2026, 9, 1))), "is no longer sold"),
        (Collection(NEW), make_offer(make_period(start=NOW.date())), "began today and differs"),
    ],
)
def test_what_cannot_be_told_is_said_and_not_proposed(collection, offer, says):
    found = proposed(collection, offer)
    assert not found.changed
    assert found.diff == ""
    assert says in found.says


def test_tiers_that_differ_are_a_change():
    tiers = (ContextTier(above_input_tokens=272_000, usd_per_m=NEW),)
    assert "above_input_tokens: 272000" in proposed(Collection(OLD, tiers=tiers)).diff


def test_a_file_that_cannot_be_edited_is_said():
    found = propose(make_offer(), "periods: []\n", file="x", source=Collection(NEW), now=NOW)
    assert "the file cannot be edited" in found.says
