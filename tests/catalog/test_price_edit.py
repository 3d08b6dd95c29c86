import datetime as dt

import pytest

from deploykit.catalog.price import ApiPrice, ContextTier
from deploykit.catalog.price_edit import NewPrice, with_period
from deploykit.catalog.validation import validate_yaml
from deploykit.catalog.yaml_text import parse_yaml
from tests.costing.builders import make_peak_period, usd

FILE = """\
# A comment that people wrote.
title: Mixtress at Acme
provider: Acme
api_model: mixtress
serves: mixtress
periods:
  - start: null  # and one more
    usd_per_m: {input: "0.15", cached_input: "0.003", output: "0.60"}
    source: acme.example
    as_of: 2026-10-17
    note: >-
      Two lines
      of a note.
note: The last line.
"""
DAY = dt.date(2026, 12, 1)


def edited(text=FILE, **changes):
    new = NewPrice(**{"usd_per_m": usd("0.2", None, "0.7"), "source": "a collection 1.0", **changes})
    return with_period(text, new, start=DAY)


def read(text):
    return validate_yaml(parse_yaml(text, file="x.yaml"), ApiPrice, name="acme")


def test_the_old_period_ends_the_day_before_and_the_new_one_begins():
    offer = read(edited())
    assert [(p.start, p.end) for p in offer.periods] == [(None, dt.date(2026, 11, 30)), (DAY, None)]
    assert offer.period_at(DAY).usd_per_m == usd("0.2", None, "0.7")
    assert offer.period_at(dt.date(2026, 11, 30)).usd_per_m.input == read(FILE).periods[0].usd_per_m.input


def test_nothing_else_of_the_file_changes():
    kept = [line for line in edited().splitlines() if line in FILE.splitlines()]
    assert kept == FILE.splitlines()


def test_peak_hours_and_tiers_are_written_as_they_are_read():
    peak = make_peak_period()
    tiers = (ContextTier(above_input_tokens=272_000, usd_per_m=usd("1", "2", "3")),)
    offer = read(edited(peak_windows=peak.peak_windows, peak_usd_per_m=peak.peak_usd_per_m, tiers=tiers))
    found = offer.period_at(DAY)
    assert (found.peak_windows, found.peak_usd_per_m, found.tiers) == (peak.peak_windows, peak.peak_usd_per_m, tiers)


def test_it_can_be_edited_again():
    again = with_period(edited(), NewPrice(usd_per_m=usd("1", "1", "1"), source="x"), start=dt.date(2027, 1, 1))
    assert [p.end for p in read(again).periods] == [dt.date(2026, 11, 30), dt.date(2026, 12, 31), None]


@pytest.mark.parametrize("text", ["title: x\n", "periods: []\n", "periods:\n- start: null\n"])
def test_a_file_laid_out_in_another_way_is_left_alone(text):
    with pytest.raises(ValueError, match=r"there is no line|not written as a list"):
        edited(text)
