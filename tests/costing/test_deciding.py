"""Decisions from a measured run: which offer, which ways to pay, the staircase, and what is said."""

import datetime as dt
from decimal import Decimal

import pytest

from deploykit.catalog.ranges import Range, point
from deploykit.caveat import REHEARSAL
from deploykit.costing.deciding import decisions, served_by
from deploykit.costing.decision import Decision
from deploykit.costing.hourly import HourlyCost, Owned, central, usd_per_hour
from deploykit.costing.pricing import Pricing
from deploykit.errors import ComparisonError
from tests.costing.builders import make_hourly, make_measurements, make_offer, make_period, usd

# 1,000 requests of 3,200 fresh, 4,800 cached and 1,000 output tokens in 360 s: 90 M tokens an hour, 0.1216 USD/M at the API.
RUN = make_measurements()
OTHER = make_offer(make_period(usd("9", "9", "9")), name="dear", title="Dear")


def pricing(**changes):
    facts = {
        "model": "mixtress",
        "rehearsal": False,
        "hourly": (make_hourly(),),
        "offers": (make_offer(), OTHER),
        "draws": 300,
    }
    return Pricing(**{**facts, **changes})


def decided(run=RUN, asked=None, **changes) -> tuple[Decision, ...]:
    return decisions(pricing(**changes), served_by(run), api_usd_per_month=asked)


def owned(**changes) -> HourlyCost:
    terms = Owned(**{"capex_usd": "300000..350000", "life_years": 4, "power_kw": 10, "usd_per_kwh": "0.1", **changes})
    return HourlyCost(
        usd_per_hour=usd_per_hour(terms, central(terms)), nodes=1, rate="yours-owned", provider="owned by you", kind="owned",
        source="x", as_of=dt.date(2026, 11, 1), terms=terms,
    )  # fmt: skip


def test_a_rented_node_by_hand():
    (made,) = decided(busy=point(Decimal("0.5")))
    assert made.price.offer == "acme-mixtress"
    assert round(made.usd_per_m_full.central, 4) == Decimal("0.1778")  # 16 / 90
    assert round(made.usd_per_m.central, 4) == Decimal("0.3556")
    assert round(made.break_even_utilisation.central, 3) == Decimal("1.462")  # 0.1778 / 0.1216
    assert round(made.break_even_volume_m.central) == 96053  # 730 x 16 / 0.1216
    assert made.reachable is False
    assert "stays cheaper at any volume" in made.says[-1]
    assert made.payback is None


def test_the_decision_and_the_comparison_agree():
    from deploykit.costing.pricing import compare_priced

    made, compared = decided()[0], compare_priced(RUN, pricing())
    pairing = compared.pairing(made.rate, made.price.offer)
    assert round(pairing.break_even_utilisation, 9) == round(made.break_even_utilisation.central, 9)
    assert round(compared.rates[0].usd_per_m, 9) == round(made.usd_per_m_full.central, 9)


def test_the_staircase_by_hand():
    # 4 USD an hour: 2,920 USD a month a node, which 24,013 M tokens cost at the API; a node serves 65,700 M.
    (made,) = decided(hourly=(make_hourly("4"),))
    first, second = made.staircase[:2]
    assert (first.nodes, first.up_to_m, first.usd_per_month) == (1, 65_700, 2_920)
    assert round(first.api_usd_per_month) == 7_989
    assert round(first.cheaper_from_m) == 24_013
    assert second.cheaper_from_m == 65_700  # two nodes cost less than the API as soon as one is not enough


def test_a_volume_far_up_is_on_the_stairs():
    (made,) = decided(hourly=(make_hourly("4"),), asked=Decimal(200_000))
    assert made.staircase[-1].nodes == made.nodes_needed.central
    assert made.staircase[-1].up_to_m >= made.volume_m > made.staircase[-1].up_to_m * 9 / 10


def test_the_owned_node_answers_first_and_the_headline_rate_second():
    made = decided(hourly=(make_hourly(), make_hourly("9", rate="other"), owned()))
    assert [each.rate for each in made] == ["yours-owned", "rentacloud"]


def test_a_payback_has_its_months_and_its_life():
    (made, _) = decided(hourly=(owned(), make_hourly()), asked=Decimal(9_000))
    # 9,000 USD are 74,013 M tokens: two nodes; 650,000 / (9,000 - 2 x 730) months
    assert made.nodes_needed.central == 2
    assert made.payback.capex_usd == Range(low=Decimal(600_000), central=Decimal(650_000), high=Decimal(700_000))
    assert round(made.payback.months.central, 1) == Decimal("86.2")
    assert made.payback.within_life == 0
    assert "pays back in 86 (" in made.says[0]
    assert "within a life of 4 years in 0 % of the draws" in made.says[0]


def test_never_is_said():
    (made, _) = decided(hourly=(owned(), make_hourly()), asked=Decimal(500))
    assert made.payback.months.central is None
    assert made.says[0].startswith("Never: $500 a month")


def test_what_pays_back_only_with_luck_says_so():
    # One node: 2,000 USD a month against 730 of energy and 1,200 of operations leaves 70 for 325,000 at the centre.
    hour = owned(ops_usd_per_month="0..1200..2600")
    (made, _) = decided(hourly=(hour, make_hourly()), asked=Decimal(2_000), busy=point(1))
    assert made.payback.months.central is None
    assert 0 < made.payback.months.never < 1
    assert made.says[0].startswith("Hardly: $2,000 a month")


@pytest.mark.parametrize(
    ("run", "rehearsal", "first"),
    [
        (RUN, True, REHEARSAL.says),
        (make_measurements(verdict="INVALID"), False, "The load test is INVALID"),
        (make_measurements(stage={"slo_met": False}), False, "No stage met the SLO"),
    ],
)
def test_what_must_not_be_decided_by_says_so_first(run, rehearsal, first):
    (made,) = decided(run, rehearsal=rehearsal)
    assert made.says[0].startswith(first)


def test_offers_that_are_named_are_all_decided_against():
    made = decided(against=("acme-mixtress", "dear"))
    assert [each.price.offer for each in made] == ["acme-mixtress", "dear"]


def test_without_a_rate_or_an_offer_there_is_no_decision():
    with pytest.raises(ComparisonError, match="what an hour of this node costs is unknown"):
        decided(hourly=())
    with pytest.raises(ComparisonError, match="no API offer"):
        decided(offers=(make_offer(make_period(end=dt.date(2026, 9, 10))),))
    with pytest.raises(ComparisonError, match="says no volume"):
        decided(offers=(make_offer(make_period(usd("0", None, "0"))),), asked=Decimal(5))


def test_nothing_measured_is_nothing_decided():
    with pytest.raises(ComparisonError, match="nothing was measured"):
        served_by(make_measurements(usage=()))


def test_a_duty_cycle_follows_from_the_hours_traffic():
    busy_day = tuple(Decimal(2 if 8 <= hour < 20 else 1) for hour in range(24))
    made = pricing(traffic=busy_day)
    assert made.duty == point(Decimal("0.75"))  # mean 1.5 of a peak of 2
    assert decided(traffic=busy_day)[0].busy == made.duty


def test_what_nobody_said_is_a_doubt():
    codes = {caveat.code for caveat in decided(hourly=(owned(),))[0].caveats}
    assert {"duty-unknown", "hour-incomplete"} <= codes
    assert "duty-unknown" not in {caveat.code for caveat in decided(busy=point(1))[0].caveats}


def test_a_run_folders_pricing_alone_decides_the_same():
    made = pricing(busy=Range.model_validate("0.3..0.8"), hourly=(owned(), make_hourly()))
    again = Pricing.model_validate_json(made.as_json())
    assert again == made
    assert decisions(again, served_by(RUN)) == decisions(made, served_by(RUN))
