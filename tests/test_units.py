from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.units import show_usd


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(None, "unknown"), ("0", "$0.00"), ("16", "$16.00"), ("26805.6", "$26,805.60"), ("0.0996", "$0.10"), ("0.00284", "$0.0028"), ("0.15", "$0.15"), ("1.999", "$2.00")],
)  # fmt: skip
def test_money_is_shown_with_two_significant_digits_and_at_least_cents(amount, shown):
    assert show_usd(None if amount is None else Decimal(amount)) == shown


@given(st.decimals(min_value="0.000001", max_value="1e6", places=8))
def test_what_is_shown_is_within_five_percent(amount):
    shown = Decimal(show_usd(amount).replace("$", "").replace(",", ""))
    assert abs(shown - amount) <= amount * Decimal("0.05")
