"""The Pareto plot: the same bytes for the same ranking, every machine's line, and nothing loaded from outside."""

from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from deploykit.planning.search import Ranking, Rates, search
from deploykit.reporting.pareto import label, pareto_html, pareto_svg
from tests.planning.builders import shipped_request

NODES = ("h100-sxm-8x", "b200-sxm-8x")


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    rates = {name: Rates(low=Decimal(8), middle=Decimal(20), high=Decimal(40)) for name in NODES}
    return search([shipped_request("gpt-oss-120b", node) for node in NODES], rates)


def test_the_same_ranking_gives_the_same_bytes(ranking: Ranking) -> None:
    assert pareto_svg(ranking) == pareto_svg(ranking)


def test_it_is_svg_with_a_line_for_each_machine_and_the_frontier(ranking: Ranking) -> None:
    svg = pareto_svg(ranking)
    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own drawing
    for option in ranking.options:
        if option.planners:
            assert label(option) in svg
    assert "frontier of all layouts" in svg
    assert "predicted" in svg


def test_the_page_says_what_it_is_and_loads_nothing(ranking: Ranking) -> None:
    page = pareto_html(ranking)
    assert "Predicted, not measured." in page
    assert "<script" not in page
    assert " src=" not in page
    assert "<link" not in page


def test_a_ranking_without_predictions_is_drawn_empty(ranking: Ranking) -> None:
    assert "<svg" in pareto_svg(ranking.model_copy(update={"options": ()}))
