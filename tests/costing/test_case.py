"""Costs per token, break-even and payback, against sums made by hand and against the definition, month by month."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.ranges import point
from deploykit.costing.capacity import Capacity
from deploykit.costing.case import LONGEST_MONTHS, Case, payback_months
from deploykit.costing.draws import centre
from deploykit.costing.hourly import Owned, Rented
from deploykit.costing.month_price import month_price
from tests.costing.builders import MONDAY_NIGHT, make_offer, make_peak_period, make_request

DAY = MONDAY_NIGHT.date()


def capacity(tokens_per_s, **bounds):
    hourly = {name: Decimal(value) * 3600 for name, value in bounds.items() if name != "level"}
    return Capacity(
        tokens_per_hour=Decimal(tokens_per_s) * 3600,
        basis="stated",
        says="for a test",
        level=bounds.get("level"),
        **hourly,
    )


def case(**changes):
    facts = {
        "terms": Rented(usd_per_hour=16),
        "nodes": 1,
        "capacity": capacity(22222),
        "busy": None,
        "api_usd_per_m": Decimal("0.2"),
    }
    return Case(**{**facts, **changes})


@pytest.mark.parametrize(
    ("fresh", "cached", "output", "api", "peak", "needed", "of_output"),
    [
        (8000, 0, 1000, "0.200", "0.400", 22_200, 2_470),
        (3200, 4800, 1000, "0.122", "0.243", 36_600, 4_060),  # 8k in, 60 % of it cached
        (1500, 28500, 500, "0.020", "0.040", 222_000, 3_640),  # an agent: 30k in, 95 % cached
        (3000, 0, 1000, "0.263", "0.525", 16_900, 4_230),
    ],
)
def test_the_worked_table_at_16_dollars_an_hour(fresh, cached, output, api, peak, needed, of_output):
    usage = (make_request(fresh=fresh, cached=cached, output=output),)
    price = month_price(make_offer(make_peak_period()), usage, when=DAY)
    assert str(price.off_peak_usd_per_m.quantize(Decimal("0.001"), ROUND_HALF_UP)) == api
    assert str(price.peak_usd_per_m.quantize(Decimal("0.001"), ROUND_HALF_UP)) == peak
    # The tokens a second at which both bills are the same: there a node that is always full breaks even.
    per_s = Decimal(16) / price.off_peak_usd_per_m * 1_000_000 / 3600
    found = centre(case(capacity=capacity(per_s), api_usd_per_m=price.off_peak_usd_per_m))
    assert abs(found.break_even_utilisation - 1) < Decimal("1e-20")
    assert round(per_s / needed, 2) == 1
    assert round(per_s * output / (fresh + cached + output) / of_output, 2) == 1


def test_costs_and_break_even_by_hand():
    # 16 USD an hour, 10,000 tokens/s = 36 M an hour: 0.444 USD/M full, 0.889 half busy; a month full is 26,280 M.
    found = centre(case(capacity=capacity(10_000), busy=point(Decimal("0.5")), api_usd_per_m=Decimal(1)))
    assert round(found.usd_per_m_full, 4) == Decimal("0.4444")
    assert round(found.usd_per_m, 4) == Decimal("0.8889")
    assert round(found.break_even_utilisation, 4) == Decimal("0.4444")
    assert found.break_even_volume_m == 730 * 16
    assert found.capacity_m == 13_140
    assert found.payback_months is None


@pytest.mark.parametrize(("volume", "groups"), [(1, 1), (13_140, 1), (13_141, 2), (40_000, 4)])
def test_nodes_come_whole(volume, groups):
    found = centre(case(capacity=capacity(10_000), busy=point(Decimal("0.5")), volume_m=Decimal(volume)))
    assert found.groups == groups
    assert found.usd_per_month == groups * 730 * 16


def test_groups_of_nodes_are_paid_and_counted_together():
    found = centre(case(nodes=2, capacity=capacity(10_000), volume_m=Decimal(30_000)))
    assert (found.groups, found.machines, found.usd_per_hour) == (2, 4, 32)


def test_an_api_that_costs_nothing_is_never_reached():
    found = centre(case(api_usd_per_m=Decimal(0)))
    assert (found.break_even_utilisation, found.break_even_volume_m) == (None, None)


def test_without_a_throughput_only_volume_and_payback_are_known():
    found = centre(case(capacity=None, volume_m=Decimal(100)))
    assert (found.usd_per_m, found.break_even_utilisation, found.capacity_m) == (None, None, None)
    assert found.break_even_volume_m == 730 * 16 / Decimal("0.2")
    assert found.groups == 1


@pytest.mark.parametrize(("capex", "colo", "months"), [(300_000, 150, "86.5"), (350_000, 250, "142.9")])
def test_the_seed_claim_of_5000_dollars_a_month_takes_86_to_143_months(capex, colo, months):
    # 10.2 kW of colocation is 1,530 to 2,550 USD a month; 5,000 less that has to pay for the node.
    owned = Owned(capex_usd=capex, life_years=4, power_kw="10.2", colo_usd_per_kw_month=colo)
    found = centre(case(terms=owned, capacity=None, api_usd_per_m=Decimal("0.2"), volume_m=Decimal(25_000)))
    assert round(found.payback_months, 1) == Decimal(months)
    assert found.running_usd_per_month == Decimal("10.2") * colo


def by_definition(capex, api, running, change):
    """Add up the months, one after the other."""
    saved = Decimal(0)
    for month in range(1, LONGEST_MONTHS + 1):
        saved += api * Decimal(str((1 + float(change)) ** (month / 12))) - running
        if saved >= capex:
            return month
    return None


@pytest.mark.parametrize(
    ("capex", "api", "running", "change"),
    [
        (300_000, 30_000, 2_000, "-0.2"),
        (300_000, 30_000, 2_000, "-0.9"),
        (300_000, 5_000, 2_000, "-0.2"),
        (300_000, 5_000, 2_000, "0.1"),
        (300_000, 1_000, 2_000, "0.5"),
        (300_000, 1_000, 2_000, "-0.5"),
        (300_000, 9_000, 0, "-0.3"),
        (10, 9_000, 0, "-0.3"),
    ],
)
def test_payback_with_a_changing_price_is_the_first_month_of_the_sum(capex, api, running, change):
    found = payback_months(
        capex=Decimal(capex),
        api_usd_per_month=Decimal(api),
        running_usd_per_month=Decimal(running),
        change_per_year=Decimal(change),
    )
    assert found == by_definition(Decimal(capex), Decimal(api), Decimal(running), Decimal(change))


@given(
    capex=st.integers(1_000, 1_000_000), api=st.integers(100, 100_000), running=st.integers(0, 20_000),
    change=st.decimals("-0.95", 2, places=2),
)  # fmt: skip
def test_payback_agrees_with_the_definition(capex, api, running, change):
    found = payback_months(
        capex=Decimal(capex),
        api_usd_per_month=Decimal(api),
        running_usd_per_month=Decimal(running),
        change_per_year=change,
    )
    told = by_definition(Decimal(capex), Decimal(api), Decimal(running), change)
    if change == 0:
        assert (told is None) == (found is None) or found > LONGEST_MONTHS - 1
        assert told is None or told - 1 < found <= told
    else:
        assert found == told


def test_payback_with_interest_by_hand():
    # 1 % a month (12.6825 % a year): 10 savings of 100 are worth 947.13 today, 11 of them 1,036.76.
    interest = Decimal("1.01") ** 12 - 1
    found = {
        capex: payback_months(
            capex=Decimal(capex), api_usd_per_month=Decimal(150), running_usd_per_month=Decimal(50), interest=interest
        )
        for capex in (947, 948, 1036, 1037, 10_000)
    }
    # A saving of 100 for ever is worth 10,000 at 1 % a month: as much is never paid back.
    assert found == {947: 10, 948: 11, 1036: 11, 1037: 12, 10_000: None}


@given(
    capex=st.integers(1_000, 1_000_000), api=st.integers(100, 100_000), running=st.integers(0, 20_000),
    change=st.decimals("-0.95", 2, places=2), interest=st.decimals(0, "0.5", places=2),
)  # fmt: skip
def test_interest_never_pays_back_sooner_and_agrees_with_the_definition(capex, api, running, change, interest):
    def found(costs):
        return payback_months(
            capex=Decimal(capex), api_usd_per_month=Decimal(api), running_usd_per_month=Decimal(running),
            change_per_year=change, interest=costs,
        )  # fmt: skip

    free, dear = found(Decimal(0)), found(interest)
    assert dear is None or (free is not None and dear >= free)
    growth, discount = (1 + float(change)) ** (1 / 12), (1 + float(interest)) ** (-1 / 12)
    worth, first = 0.0, None
    for month in range(1, LONGEST_MONTHS + 1):
        worth += (api * growth**month - running) * discount**month
        if first is None and worth >= capex * (1 - 1e-9):
            first = month
    if interest or change:
        assert (dear is None) == (first is None) or abs(worth - capex) < capex * 1e-6
        assert dear is None or first is None or dear - first in {0, 1}


def test_the_cost_of_capital_goes_into_the_payback():
    made = [
        centre(case(terms=Owned(capex_usd=100_000, life_years=4, interest=costs), capacity=None,
                    api_usd_per_m=Decimal("0.2"), volume_m=Decimal(25_000)))
        for costs in (None, "0.1")
    ]  # fmt: skip
    assert [found.payback_months for found in made] == [20, 22]


def test_what_saves_nothing_never_pays_back():
    assert payback_months(capex=Decimal(1), api_usd_per_month=Decimal(5), running_usd_per_month=Decimal(5)) is None
    assert (
        payback_months(capex=Decimal(600_001), api_usd_per_month=Decimal(1001), running_usd_per_month=Decimal(1))
        is None
    )


MONEY = st.decimals("0.01", 10_000, places=2)


@given(hour=MONEY, price=MONEY, rate=st.decimals("0.01", 100, places=2), tokens=st.integers(1, 1_000_000))
def test_decisions_do_not_depend_on_the_currency(hour, price, rate, tokens):
    def found(factor):
        owned = Owned(capex_usd=hour * 10_000 * factor, life_years=4, ops_usd_per_month=hour * factor)
        made = case(terms=owned, capacity=capacity(tokens), api_usd_per_m=price * factor, volume_m=Decimal(100))
        return centre(made)

    one, other = found(Decimal(1)), found(rate)
    for figure in ("break_even_utilisation", "break_even_volume_m", "groups", "payback_months"):
        first, second = getattr(one, figure), getattr(other, figure)
        assert (first is None) == (second is None)
        assert first is None or abs(first - second) <= abs(first) * Decimal("1e-20")
    assert abs(other.usd_per_m - one.usd_per_m * rate) <= abs(other.usd_per_m) * Decimal("1e-20")


@given(hour=MONEY, more=MONEY, price=MONEY)
def test_break_even_moves_with_prices_as_it_must(hour, more, price):
    def found(**changes):
        return centre(case(**{"terms": Rented(usd_per_hour=hour), "api_usd_per_m": price, **changes}))

    assert found(terms=Rented(usd_per_hour=hour + more)).break_even_utilisation > found().break_even_utilisation
    assert found(api_usd_per_m=price + more).break_even_utilisation < found().break_even_utilisation
    assert found(api_usd_per_m=price + more).break_even_volume_m < found().break_even_volume_m
    assert found(capacity=capacity(30_000)).usd_per_m < found().usd_per_m
