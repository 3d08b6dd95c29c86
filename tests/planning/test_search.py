"""All machines, ranked by predicted cost: the sums by hand, the order, the filters and the frontier."""

from decimal import Decimal

import pytest

from deploykit.planning.predicted import Estimate, Prediction
from deploykit.planning.request import PlanRequest
from deploykit.planning.search import Ranking, Rates, frontier, search, usd_per_m, within
from tests.planning.builders import shipped, shipped_plan, shipped_request

NODES = [name for name in shipped().names("nodes") if shipped().node(name).gpu is not None]
RATES = {name: Rates(low=Decimal(8), middle=Decimal(20), high=Decimal(40)) for name in NODES}


def requests(model: str, workload: str = "chat") -> list[PlanRequest]:
    return [shipped_request(model, node, workload) for node in NODES]


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    return search(requests("gpt-oss-120b"), RATES)


def around(value: float) -> Estimate:
    return Estimate(low=value / 2, central=value, high=value * 2)


def test_the_price_of_a_million_tokens_is_a_range_over_rates_and_intervals() -> None:
    prediction = Prediction(
        concurrency=64,
        ttft_s=around(1),
        tpot_s=around(0.02),
        output_tokens_per_s=around(1000),
        output_tokens_per_s_per_gpu=around(125),
        total_tokens_per_s_per_gpu=around(1000),
        basis="calibrated",
    )
    # 8 tokens of the mix for each of output: 8,000 a second, 28.8 million an hour; half and twice that at the ends.
    price = usd_per_m(Rates(low=Decimal("14.4"), middle=Decimal("28.8"), high=Decimal("57.6")), prediction)
    assert (price.low, price.middle, price.high) == (Decimal("0.25"), Decimal(1), Decimal(4))


def test_every_machine_is_there_or_says_why_not(ranking: Ranking) -> None:
    assert {o.node for o in ranking.options} | {r.node for r in ranking.refused} == set(NODES)
    assert all(r.because for r in ranking.refused)


def test_cheaper_comes_first_and_the_unknown_last(ranking: Ranking) -> None:
    prices = [o.usd_per_m.middle for o in ranking.options if o.usd_per_m]
    assert prices == sorted(prices)
    assert len(prices) > len(NODES)
    known = [o.usd_per_m is not None for o in ranking.options]
    assert known == sorted(known, reverse=True)


def test_one_option_of_each_machine_is_the_planners(ranking: Ranking) -> None:
    for node in {o.node for o in ranking.options}:
        (mine,) = [o for o in ranking.options if o.node == node and o.planners]
        made = shipped_plan("gpt-oss-120b", node)
        assert mine.layout == made.parallelism
        assert mine.point == made.predicted


def test_a_model_that_needs_more_machines_gets_them() -> None:
    ranking = search([shipped_request("deepseek-v4-pro", "h100-sxm-8x")], RATES)
    assert {o.nodes for o in ranking.options} == {2}
    hourly = ranking.options[0].usd_per_hour
    assert hourly is not None
    assert hourly.middle == 40


def test_what_no_prediction_reaches_has_no_price_and_says_why() -> None:
    ranking = search(requests("nemotron-3-super"), RATES)
    assert all(o.usd_per_m is None and o.point.at_slo is None and o.point.because for o in ranking.options)


def test_a_machine_without_a_rate_has_no_price() -> None:
    ranking = search([shipped_request("gpt-oss-120b", "h100-sxm-8x")], {})
    assert all(o.usd_per_hour is None and o.usd_per_m is None for o in ranking.options)
    assert within(ranking, budget=Decimal(1000), min_throughput=None).options == ()


def test_filters_keep_what_passes_both(ranking: Ranking) -> None:
    assert within(ranking, budget=None, min_throughput=None) == ranking
    assert within(ranking, budget=Decimal(19), min_throughput=None).options == ()
    fast = within(ranking, budget=Decimal(20), min_throughput=30_000).options
    assert 0 < len(fast) < len(ranking.options)
    for option in fast:
        assert option.point.at_slo is not None
        assert option.point.at_slo.output_tokens_per_s.central >= 30_000


def test_nothing_beats_a_point_of_the_frontier_in_both(ranking: Ranking) -> None:
    best = [point for _, point in frontier(ranking.options)]
    assert len(best) > 3
    for one in best:
        assert not any(
            other.tokens_per_s_per_user > one.tokens_per_s_per_user
            and other.output_tokens_per_s_per_gpu > one.output_tokens_per_s_per_gpu
            for option in ranking.options
            for other in option.curve
        )
    speeds = [point.tokens_per_s_per_user for point in best]
    assert speeds == sorted(speeds)
