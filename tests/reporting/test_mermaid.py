"""Charts as text: what is drawn, and that no name breaks out of its quotation."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.reporting.mermaid import _number, _text, charts
from tests.reporting.builders import CASES


@pytest.mark.parametrize("case", CASES)
def test_every_bar_has_its_name(case: str) -> None:
    report = CASES[case]()
    fences = re.findall(r"```mermaid\n(.*?)\n```", charts(report), re.DOTALL)
    assert fences
    for chart in fences:
        names = re.search(r"x-axis \[(.*)\]", chart)
        bars = re.search(r"bar \[(.*)\]", chart)
        assert names
        assert bars
        assert len(re.findall(r'"[^"]*"', names[1])) == len(bars[1].split(", "))


def test_the_bills_by_hand() -> None:
    report = CASES["self-hosted-cheaper"]()
    first = charts(report).split("```")[1]
    own = report.comparison.rates[0]
    assert f'"node: {own.label}"' in first
    assert f"bar [{float(own.usd_per_m):.3g}, " in first


@given(st.text())
def test_no_name_ends_its_quotation(text: str) -> None:
    assert re.fullmatch(r'"[A-Za-z0-9 .,:/+%-]+"', _text(text))


@given(st.floats(min_value=0, max_value=1e12, allow_subnormal=False))
def test_a_number_is_a_plain_decimal_near_what_it_says(value: float) -> None:
    shown = _number(value)
    assert re.fullmatch(r"\d+(\.\d+)?", shown)
    assert abs(float(shown) - value) <= 0.006 * value + 1e-10
