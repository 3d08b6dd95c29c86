"""What the plots of a decision say in words."""

from decimal import Decimal

import pytest

from deploykit.costing.decision import Step
from deploykit.reporting.decision_plots import _cheaper_from


def steps(price: str, *, usd: int = 100, capacity: int = 1000, count: int = 3) -> tuple[Step, ...]:
    """As a decision has them: each group of nodes serves so many million tokens for so many dollars a month."""
    found = []
    for number in range(1, count + 1):
        even = usd * number / Decimal(price)
        begins = None if even > capacity * number else max(even, Decimal(capacity * (number - 1)))
        found.append(
            Step(
                nodes=number, up_to_m=Decimal(capacity * number), usd_per_month=Decimal(usd * number),
                api_usd_per_month=Decimal(price) * capacity * number, cheaper_from_m=begins,
            )
        )  # fmt: skip
    return tuple(found)


@pytest.mark.parametrize(
    ("price", "says"),
    [
        ("0.05", "The nodes are never cheaper, whatever their number."),
        # $0.11/M: 909 million pay for one node, 1,818 for two, which begin at 1,000: between these the API is cheaper.
        ("0.11", "The nodes are cheaper from 910 M tokens a month; where one more has just been added, the API can be cheaper again."),
        # $0.25/M: 800 million pay for two nodes, and 1,200 for three, which only begin at 1,000 and 2,000.
        ("0.25", "The nodes are cheaper from 400 M tokens a month."),
    ],
)  # fmt: skip
def test_from_where_nodes_are_cheaper(price: str, says: str) -> None:
    assert _cheaper_from(steps(price)) == says
