from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.costing.decision_words import spread_share, spread_tokens, spread_usd, tokens, two, usd_two
from deploykit.costing.draws import Spread


def spread(central, p5, p95):
    return Spread(**{n: None if v is None else Decimal(v) for n, v in (("central", central), ("p5", p5), ("p95", p95))})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("0", "0"),
        ("0.04567", "0.046"),
        ("0.0996", "0.10"),
        ("1", "1.0"),
        ("86.4", "86"),
        ("143", "140"),
        ("35285", "35,000"),
        ("99.6", "100"),
    ],
)
def test_two_significant_digits(value, told):
    assert two(Decimal(value)) == told


def test_null_is_never():
    assert two(None) == "never"
    assert tokens(None) == "never"
    assert usd_two(None) == "unknown"


@pytest.mark.parametrize(
    ("million", "told"), [("0.5", "0.50 M"), ("850", "850 M"), ("35285", "35 B"), ("1400000", "1.4 T")]
)
def test_tokens_have_a_unit_people_know(million, told):
    assert tokens(Decimal(million)) == told


@pytest.mark.parametrize(
    ("usd", "told"), [("0.0648", "$0.065"), ("5.77", "$5.77"), ("14220.84", "$14,000"), ("0", "$0.00")]
)
def test_dollars_are_rounded_where_they_are_large(usd, told):
    assert usd_two(Decimal(usd)) == told


def test_a_spread_that_rounds_to_its_centre_is_told_once():
    assert spread_usd(spread("0.43", "0.32", "0.62")) == "$0.43 ($0.32 to $0.62)"
    assert spread_share(spread("0.581", "0.5809", "0.5811")) == "58 %"
    assert spread_tokens(spread("35285", "32420", None)) == "35 B (32 B to never)"


@given(st.decimals("0.000001", 10**9, places=6))
def test_what_is_told_is_within_a_twentieth_of_what_is_meant(value):
    told = Decimal(two(value).replace(",", ""))
    assert abs(told - value) <= value / 20
