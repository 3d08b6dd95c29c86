"""Hours of rented and owned nodes, against sums made by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploykit.catalog.ranges import Range, point
from deploykit.costing.hourly import Owned, Rented, annuity, central, hour_lines, hour_range, usd_by_line, usd_per_hour

NODE = Owned(
    capex_usd="300000..350000", resale_share="0.25..0.35", interest="0.08", life_years="4..5", power_kw="10.2", pue="1.2",
    usd_per_kwh="0.06..0.12", colo_usd_per_kw_month="150..250",
)  # fmt: skip
MONEY = st.decimals(1, 1_000_000, places=2)


def test_the_annuity_is_the_textbooks():
    # Tables of the capital recovery factor: 8 %, 5 years is 0.25046; 10 %, 10 years is 0.16275.
    assert round(annuity(Decimal("0.08"), Decimal(5)), 5) == Decimal("0.25046")
    assert round(annuity(Decimal("0.1"), Decimal(10)), 5) == Decimal("0.16275")
    assert annuity(Decimal(0), Decimal(4)) == Decimal("0.25")


def test_an_owned_hour_by_hand():
    lines = {line.name: line.usd_per_hour for line in hour_lines(NODE)}
    # K = 325,000, S = 97,500, L = 4.5: f = 0.08 / (1 - 1.08^-4.5) = 0.273397;
    # (227,500 x 0.273397 + 97,500 x 0.08) / 8760 = 7.990 USD
    assert round(lines["capital"].central, 2) == Decimal("7.99")
    # 10.2 kW x 1.2 x 0.09 = 1.1016 USD; 10.2 x 200 / 730 = 2.7945 USD
    assert lines["energy"] == Range(low=Decimal("0.7344"), central=Decimal("1.1016"), high=Decimal("1.4688"))
    assert round(lines["colocation"].central, 4) == Decimal("2.7945")


def test_capital_is_cheapest_with_a_long_life_and_a_good_resale():
    capital = next(line.usd_per_hour for line in hour_lines(NODE) if line.name == "capital")
    best = {**central(NODE), "capex_usd": Decimal(300000), "resale_share": Decimal("0.35"), "life_years": Decimal(5)}
    worst = {**central(NODE), "capex_usd": Decimal(350000), "resale_share": Decimal("0.25"), "life_years": Decimal(4)}
    assert capital.low == usd_by_line(NODE, best)["capital"]
    assert capital.high == usd_by_line(NODE, worst)["capital"]


def test_without_interest_and_resale_capital_is_the_purchase_over_its_life():
    plain = Owned(capex_usd=350400, life_years=4)
    assert hour_range(plain) == point(10)
    assert plain.not_counted == (
        "storage", "network", "support", "operations", "resale", "interest", "power", "cooling (PUE)", "price of energy",
        "colocation",
    )  # fmt: skip


def test_a_rented_hour_adds_what_is_paid_by_the_month():
    rented = Rented(usd_per_hour=16, storage_usd_per_month=730, ops_usd_per_month="1460..2920")
    assert [(line.name, line.usd_per_hour.central) for line in hour_lines(rented)] == [
        ("rent", Decimal(16)), ("storage", Decimal(1)), ("operations", Decimal(3)),
    ]  # fmt: skip
    assert hour_range(rented) == Range(low=Decimal(19), central=Decimal(20), high=Decimal(21))


@pytest.mark.parametrize(
    "wrong",
    [
        {"capex_usd": 0}, {"capex_usd": -1}, {"life_years": 0}, {"life_years": 51}, {"resale_share": 1}, {"pue": "0.9"},
        {"interest": 2}, {"usd_per_kwh": -1}, {"ops_usd_per_month": -1}, {"capex_usd": "NaN"},
    ],
)  # fmt: skip
def test_impossible_terms_are_refused(wrong):
    with pytest.raises(ValidationError):
        Owned(**{"capex_usd": 300000, "life_years": 4, **wrong})


@given(capex=MONEY, more=MONEY, life=st.decimals(1, 20, places=1), interest=st.decimals(0, "0.3", places=3))
def test_an_hour_rises_with_every_price(capex, more, life, interest):
    def hour(**changes):
        terms = Owned(
            **{
                "capex_usd": capex,
                "life_years": life,
                "interest": interest,
                "power_kw": 10,
                "usd_per_kwh": "0.1",
                **changes,
            }
        )
        return usd_per_hour(terms, central(terms))

    assert hour(capex_usd=capex + more) > hour()
    assert hour(interest=interest + Decimal("0.01")) > hour()
    assert hour(usd_per_kwh="0.2") > hour()
    assert hour(life_years=life + 1) < hour()
    assert hour(resale_share="0.2") < hour()


@given(low=MONEY, width=MONEY, share=st.decimals(0, "0.9", places=2))
def test_lines_add_up_to_the_hour_at_every_end(low, width, share):
    terms = Owned(capex_usd=f"{low}..{low + width}", resale_share=share, life_years="3..6", ops_usd_per_month="10..90")
    lines, whole = hour_lines(terms), hour_range(terms)
    for end in ("low", "central", "high"):
        assert sum(getattr(line.usd_per_hour, end) for line in lines) == getattr(whole, end)
