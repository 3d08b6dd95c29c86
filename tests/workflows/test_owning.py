"""A node that is bought, a rate with what is paid beside it, and quotes: from the intent and the profiles to an hour."""

import datetime as dt
from decimal import Decimal

import pytest

from deploykit import paths
from deploykit.catalog.ranges import Range, point
from deploykit.cost_intent import CostIntent
from deploykit.costing.hourly import hour_lines, hour_range
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import ComparisonError
from deploykit.measuring.power import StagePower
from deploykit.workflows.owning import owned_cost
from deploykit.workflows.pricing import hourly_costs, offers
from tests.costing.builders import make_measurements

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
CATALOG = YamlCatalog(paths.shipped("profiles"))
H100 = CATALOG.node("h100-sxm-8x")


def owned(node=H100, measured=None, **given):
    return owned_cost(node, CostIntent(owned=given), CATALOG.ownership(), nodes=1, now=NOW, measured=measured)


def test_what_is_not_said_comes_from_the_profiles():
    made = owned()
    assert made.terms.capex_usd == Range.model_validate("300000..350000")
    assert made.terms.power_kw == point(Decimal("10.2"))
    assert made.terms.interest is None
    assert made.source == "v2-pseo-ai.pages.dev gpu-tco-analysis"
    assert {line.name for line in hour_lines(made.terms)} == {"capital", "energy", "colocation"}


def test_what_is_said_wins():
    made = owned(capex_usd=100, interest_percent=8, power_kw=5, pue=1, usd_per_kwh=0, life_years=3)
    assert (made.terms.capex_usd, made.terms.interest, made.terms.power_kw) == (
        point(100),
        point(Decimal("0.08")),
        point(5),
    )
    assert made.source == "cost.owned.capex_usd"


def test_measured_power_counts_with_the_hosts_share():
    power = StagePower(watts=4000, valid=True)
    measured = make_measurements(stage={"power": power})
    # 10.2 kW of the node less 8 x 0.7 kW of its GPUs is the host's 4.6 kW; the GPUs drew 4.0 kW.
    assert owned(measured=measured).terms.power_kw == point(Decimal("8.6"))
    doubtful = make_measurements(stage={"power": StagePower(watts=4000, valid=False, why="gaps")})
    assert owned(measured=doubtful).terms.power_kw == point(Decimal("10.2"))


def test_all_in_power_has_its_cooling_already():
    made = owned(CATALOG.node("h200-sxm-8x"), capex_usd=1)
    assert (made.terms.power_kw, made.terms.pue) == (point(Decimal("10.96")), point(1))


def test_gpus_alone_are_no_node():
    with pytest.raises(ComparisonError, match="what it costs to buy `h200-sxm-8x` is unknown") as caught:
        owned(CATALOG.node("h200-sxm-8x"))
    assert "GPUs alone" in str(caught.value)


def test_an_owned_node_stands_before_the_rates_of_the_market():
    made = hourly_costs(H100, CostIntent(owned={}), nodes=1, now=NOW, ownership=CATALOG.ownership())
    assert made[0].kind == "owned"
    assert made[0].provider == "owned by you"
    assert len(made) > 3


def test_an_owners_own_rate_stands_before_the_owned_node():
    cost = CostIntent(usd_per_gpu_hour="2..3", ops_usd_per_month=7300, owned={}, provider="Acme, 3 years")
    made = hourly_costs(H100, cost, nodes=1, now=NOW, ownership=CATALOG.ownership())
    assert [each.provider for each in made] == ["Acme, 3 years", "owned by you"]
    assert hour_range(made[0].terms) == Range.model_validate("26..34")  # 16..24, and 10 USD/h of operations
    assert made[0].usd_per_hour == 30


def test_every_rate_has_what_is_paid_beside_it():
    made = hourly_costs(H100, CostIntent(rates=("lambda",), storage_usd_per_month=730), nodes=1, now=NOW)
    assert made[0].usd_per_hour == Decimal("3.99") * 8 + 1


QUOTE = {
    "provider": "Baseten", "reference": "offer 17 of 2026-11-20", "valid_until": dt.date(2026, 12, 31),
    "usd_per_m": {"input": "0.1", "cached_input": "0.01", "output": "0.2"},
}  # fmt: skip


def test_a_quote_replaces_the_list_price_of_its_provider():
    plain = offers(CATALOG, "deepseek-v4-flash", CostIntent(), today=NOW.date())
    quoted = offers(CATALOG, "deepseek-v4-flash", CostIntent(quotes=(QUOTE,)), today=NOW.date())
    assert quoted[0].name == "quote-baseten"
    assert "your quote" in quoted[0].title
    assert {o.name for o in plain} - {o.name for o in quoted} == {"baseten-deepseek-v4-flash"}


def test_a_quote_that_has_ended_is_history_and_the_list_price_is_back():
    ended = {**QUOTE, "valid_until": dt.date(2026, 11, 1)}
    names = [o.name for o in offers(CATALOG, "deepseek-v4-flash", CostIntent(quotes=(ended,)), today=NOW.date())]
    assert {"quote-baseten", "baseten-deepseek-v4-flash"} <= set(names)
    quote = offers(CATALOG, "deepseek-v4-flash", CostIntent(quotes=(ended,)), today=NOW.date())[0]
    assert quote.period_at(NOW.date()) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"busy": "0.5", "traffic": (1,) * 24}, {"traffic": (1,) * 23}, {"traffic": (0,) * 24}, {"traffic": (-1,) * 24},
        {"usd_per_node_hour": 1, "usd_per_gpu_hour": 1}, {"usd_per_node_hour": 0}, {"busy": 0}, {"busy": "0.5..1.1"},
        {"owned": {"capex_usd": -1}}, {"quotes": ({**QUOTE, "reference": ""},)}, {"price_change_percent": -100},
    ],
)  # fmt: skip
def test_costs_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="validation error"):
        CostIntent(**wrong)
