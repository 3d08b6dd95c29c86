"""Draws against quantiles that are known in closed form."""

import math
from decimal import Decimal

from deploykit.catalog.ranges import Range, point
from deploykit.costing.draws import centre, draw, spread, tornado
from deploykit.costing.hourly import Owned, Rented
from tests.costing.test_case import capacity, case

UNSURE = case(
    terms=Owned(capex_usd="300000..350000", life_years="4..5", power_kw="10.2", usd_per_kwh="0.06..0.12"),
    capacity=capacity(11_400, low=9000, high=13_000, level=Decimal("0.8")),
    busy=Range.model_validate("0.3..0.8"),
    volume_m=Decimal(25_000),
    price_change_percent=Range.model_validate("-40..10"),
    api_usd_per_m=Decimal("0.4"),
)


def test_quantiles_of_a_triangular_range_are_the_textbooks():
    made = case(terms=Rented(usd_per_hour="10..14..20"))
    drawn = draw(made, draws=10_000, seed=1)
    found = spread(centre(made), drawn, lambda each: each.usd_per_hour)
    # F(x) = (x - 10)^2 / (10 x 4) up to 14; from there 1 - (20 - x)^2 / (10 x 6)
    assert found.central == 14
    assert abs(float(found.p5) - (10 + math.sqrt(0.05 * 40))) < 0.1
    assert abs(float(found.p95) - (20 - math.sqrt(0.05 * 60))) < 0.1


def test_throughput_lies_within_its_interval_as_often_as_it_says():
    made = case(capacity=capacity(10_000, low=8000, high=13_000, level=Decimal("0.8")))
    drawn = draw(made, draws=10_000, seed=2)
    per_hour = [each.capacity_m / 730 * 1_000_000 / 3600 for each in drawn]
    assert abs(sum(each < 8000 for each in per_hour) / 10_000 - 0.1) < 0.015
    assert abs(sum(each > 13_000 for each in per_hour) / 10_000 - 0.1) < 0.015
    assert abs(sum(each < 10_000 for each in per_hour) / 10_000 - 0.5) < 0.02


def test_the_same_seed_gives_the_same_digits_and_another_does_not():
    assert draw(UNSURE, draws=50, seed=7) == draw(UNSURE, draws=50, seed=7)
    assert draw(UNSURE, draws=50, seed=7) != draw(UNSURE, draws=50, seed=8)


def test_where_nothing_is_uncertain_there_is_nothing_to_draw():
    made = case(busy=point(Decimal("0.5")))
    assert draw(made, draws=10_000, seed=1) == (centre(made),)


def test_never_stands_beyond_every_number():
    made = case(
        terms=Owned(capex_usd=300_000, life_years=4, ops_usd_per_month="0..10000"),
        capacity=None,
        volume_m=Decimal(25_000),
    )
    # 5,000 USD of API a month: it pays back only where operations cost less, and within fifty years.
    found = spread(centre(made), draw(made, draws=4000, seed=3), lambda each: each.payback_months)
    assert (found.central, found.p95) == (None, None)
    assert found.p5 is not None
    # 300,000 / (5,000 - o) <= 600 months needs o <= 4,500: (4,500 / 5,000)^2 / 2 = 40.5 % of the triangle
    assert abs(float(found.never) - 0.595) < 0.03


def test_a_tornado_has_every_guess_and_the_strongest_first():
    found = tornado(UNSURE, lambda each: each.usd_per_m)
    assert [sway.name for sway in found][:2] == ["busy", "throughput"]
    assert {sway.name for sway in found} == {"busy", "throughput", "capex_usd", "life_years", "usd_per_kwh"}
    busy = found[0]
    assert busy.at_low / busy.at_high == Decimal("0.8") / Decimal("0.3")


def test_a_guess_that_decides_about_never_is_the_strongest():
    # What a price of energy does is small beside what makes a payback impossible.
    made = UNSURE.model_copy(update={"volume_m": Decimal(6000), "busy": None})
    found = tornado(made, lambda each: each.payback_months)
    assert None in (found[0].at_low, found[0].at_high)
