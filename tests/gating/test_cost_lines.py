"""What the comment tells of dollars, by hand."""

from decimal import Decimal

from deploykit.catalog.ranges import Range, point
from deploykit.costing.comparison import compare
from deploykit.gating.cost_lines import MOST_OFFERS, CostLine, cost_lines
from tests.costing.builders import make_hourly, make_measurements, make_offer


def lines(busy: Range | None = None, count: int = 1) -> dict[str, CostLine]:
    offers = tuple(make_offer(name=f"offer-{i}", provider=f"Acme {i}") for i in range(count))
    compared = compare(make_measurements(), (make_hourly(),), offers, model="mixtress", rehearsal=False)
    return {line.what: line for line in cost_lines(compared, busy=busy)}


def test_a_node_that_idles_half_the_time_costs_twice_as_much_a_token() -> None:
    # 9 M tokens of 1,000 good requests in 360 s at $16/h: $1.60
    found = lines(point(Decimal("0.5")))
    full, half = list(found.values())[:2]
    assert abs(full.usd_per_m * 9 - Decimal("1.6")) < Decimal("1e-20")
    assert full.usd_per_1k_good == Decimal("1.6")
    assert half.usd_per_m == full.usd_per_m * 2
    assert half.usd_per_1k_good == Decimal("3.2")
    assert half.what == "self-hosted, 50 % busy"
    assert not any("busy" in what for what in lines())


def test_an_api_is_told_with_and_without_cache_hits() -> None:
    # 1,000 x $0.0010944 at our hit rate; 8,000 x $0.15/M + 1,000 x $0.60/M = $0.0018 each without
    same, none = [line for what, line in lines().items() if what.startswith("Acme")]
    assert (same.usd_per_m, same.usd_per_1k_good) == (Decimal("0.1216"), Decimal("1.0944"))
    assert (none.usd_per_m, none.usd_per_1k_good) == (Decimal("0.2"), Decimal("1.8"))
    assert none.what.endswith("no cache hits")
    assert same.note.startswith("price of ")


def test_more_offers_than_a_comment_has_room_for_are_left_out() -> None:
    assert sum(what.startswith("Acme") for what in lines(count=MOST_OFFERS + 2)) == 2 * MOST_OFFERS
