import datetime as dt
from decimal import Decimal

import pytest

from deploykit import paths
from deploykit.cost_intent import CostIntent
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import CatalogError, ComparisonError
from deploykit.workflows.pricing import SHOWN_RATES, check, hourly_costs, offers

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
CATALOG = YamlCatalog(paths.shipped("profiles"))


def test_the_headline_is_the_median_of_fresh_on_demand_rates():
    costs = hourly_costs(CATALOG.node("h200-sxm-8x"), CostIntent(), nodes=2, now=NOW)
    # on demand: 3.99 (August), 4.54 (March: too old), 4.59 (October); the median of two is the upper
    assert (costs[0].provider, costs[0].usd_per_hour) == ("RunPod", Decimal("4.59") * 8)
    assert all(cost.nodes == 2 for cost in costs)


def test_many_rates_are_shown_from_the_cheapest_to_the_dearest():
    node = CATALOG.node("h100-sxm-8x")
    every = [node.usd_per_hour(rate) for rate in node.rates]
    shown = [cost.usd_per_hour for cost in hourly_costs(node, CostIntent(), nodes=1, now=NOW)]
    assert len(shown) == SHOWN_RATES
    assert min(shown) == min(every)
    assert max(shown) == max(every)


def test_the_operators_own_rate_stands_alone():
    (own,) = hourly_costs(CATALOG.node("h100-sxm-8x"), CostIntent(usd_per_node_hour=Decimal(20)), nodes=1, now=NOW)
    assert (own.usd_per_hour, own.kind) == (Decimal(20), "stated")


def test_an_unknown_rate_names_those_there_are():
    with pytest.raises(ComparisonError) as caught:
        hourly_costs(CATALOG.node("h200-sxm-8x"), CostIntent(rates=("runpd",)), nodes=1, now=NOW)
    assert "`runpod`" in str(caught.value.hint)


def test_an_unknown_node_price_is_no_price():
    assert hourly_costs(CATALOG.node("vera-rubin-nvl72"), CostIntent(), nodes=1, now=NOW) == ()


def test_offers_of_the_model_come_before_comparable_ones():
    found = offers(CATALOG, "deepseek-v4-flash", CostIntent(), today=NOW.date())
    serving = [offer.serves == "deepseek-v4-flash" for offer in found]
    assert serving == sorted(serving, reverse=True)
    assert True in serving
    assert [
        o.name for o in offers(CATALOG, "deepseek-v4-flash", CostIntent(offers=("openai-gpt-5.4",)), today=NOW.date())
    ] == ["openai-gpt-5.4"]


def test_what_pricing_would_miss_at_the_end_is_said_at_the_start():
    node = CATALOG.node("h200-sxm-8x")
    check(CATALOG, node, "qwen3-235b", CostIntent(), NOW)
    with pytest.raises(CatalogError, match="nope"):
        check(CATALOG, node, "qwen3-235b", CostIntent(offers=("nope",)), NOW)
    with pytest.raises(ComparisonError, match="no rate"):
        check(CATALOG, node, "qwen3-235b", CostIntent(rates=("nope",)), NOW)
    with pytest.raises(ComparisonError, match="no API offer"):
        check(CATALOG, node, "a-model-of-ones-own", CostIntent(), NOW)
    with pytest.raises(ComparisonError, match="unknown"):
        check(CATALOG, CATALOG.node("vera-rubin-nvl72"), "qwen3-235b", CostIntent(), NOW)
