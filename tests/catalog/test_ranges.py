from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploykit.catalog.ranges import Range, point, within

NUMBERS = st.decimals(-1000, 1000, places=3)


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("2.5", ("2.5", "2.5", "2.5")),
        (3, ("3", "3", "3")),
        (0.45, ("0.45", "0.45", "0.45")),
        ("14..18", ("14", "16", "18")),
        ("14..15..18", ("14", "15", "18")),
        ("-40..10", ("-40", "-15", "10")),
        ("0.3..0.8", ("0.3", "0.55", "0.8")),
    ],
)
def test_it_is_read_as_it_is_written(written, parts):
    found = Range.model_validate(written)
    assert (found.low, found.central, found.high) == tuple(map(Decimal, parts))


@pytest.mark.parametrize(
    "written",
    ["", "x", "1..2..3..4", "3..2", "1..", "..1", "nan", "inf", "1e999999999", True, None, "1..nan", "1 2", []],
)
def test_what_is_no_range_is_refused(written):
    with pytest.raises(ValidationError):
        Range.model_validate(written)


@given(st.lists(NUMBERS, min_size=3, max_size=3).map(sorted))
def test_it_is_written_as_it_is_read(parts):
    low, central, high = parts
    found = Range(low=low, central=central, high=high)
    assert Range.model_validate(str(found)) == found
    assert Range.model_validate_json(found.model_dump_json()) == found


def test_bounds_name_the_range_and_what_is_wanted():
    within(point(0), 0)
    within(None, 0)
    with pytest.raises(ValueError, match=r"0 is not above 0"):
        within(point(0), 0, above=True)
    with pytest.raises(ValueError, match=r"0.3\.\.1.2 is not at least 0 and at most 1"):
        within(Range.model_validate("0.3..1.2"), 0, 1)
