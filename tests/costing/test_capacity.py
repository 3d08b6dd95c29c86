from decimal import Decimal

import pytest

from deploykit.costing.bill import KindTokens
from deploykit.costing.capacity import measured_capacity
from deploykit.measuring.measurements import Interval, WithinRun
from deploykit.measuring.repeating import combine
from tests.costing.builders import make_measurements, make_request

USAGE = (make_request(),) * 1000  # 9 M tokens in 360 s
TOKENS = KindTokens(fresh_input=3_200_000, cached_input=4_800_000, output=1_000_000)


def measured(share=None):
    per_s = 9_000_000 / 360
    interval = (
        None if share is None else {"total_tokens_per_s": Interval(low=per_s * (1 - share), high=per_s * (1 + share))}
    )
    within = None if interval is None else WithinRun(block_s=30, resamples=1000, seed=1, intervals=interval)
    return make_measurements(USAGE, stage={"within_run": within})


def test_the_capacity_is_the_priced_tokens_of_the_window():
    found = measured_capacity(measured(), TOKENS)
    assert found.tokens_per_hour == 90_000_000
    assert (found.low, found.high, found.basis) == (None, None, "measured")


def test_the_interval_within_the_run_is_its_error():
    found = measured_capacity(measured(0.04), TOKENS)
    assert (found.low, found.high) == (Decimal(86400000), Decimal(93600000))
    assert found.level == Decimal("0.95")


@pytest.mark.parametrize(("share", "says"), [(0.0001, "over 3 runs"), (0.5, "within the run")])
def test_of_two_intervals_the_wider_one_counts(share, says):
    runs = [make_measurements(USAGE, stage={"total_tokens_per_s": per_s}) for per_s in (24_000.0, 25_000.0, 26_000.0)]
    found = measured_capacity(measured(share), TOKENS, combine(runs))
    assert says in found.says
