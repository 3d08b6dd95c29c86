"""The figures of a load test while it runs."""

from decimal import Decimal

from deploykit.cli.load_view import LoadView
from deploykit.workflows.ports import Progress


def progress(at: float, finished: int, **more) -> Progress:
    told = {"stage": 0, "stages": 2, "elapsed_s": at, "expected_s": 60, "in_flight": 8, "failed": 0}
    return Progress(
        **{**told, "finished": finished, "output_tokens": finished * 50, "input_tokens": finished * 150, **more}
    )


def test_rates_are_those_of_the_last_ten_seconds():
    view = LoadView()
    for second in range(31):  # one request a second, and two in the last ten
        view.add(progress(second, second + max(0, second - 20)))
    told = dict(view.figures())
    assert told["answered"] == "40, 2.0/s"
    assert told["output"] == "100 tokens/s"
    assert told["left"] == "30 s"
    assert "cost so far" not in told
    assert "failed" not in told


def test_dollars_are_of_all_that_was_answered():
    view = LoadView()
    view.add(progress(36, 100, usd_per_hour=Decimal(2), failed=3, ttft_p50_s=0.05, ttft_p99_s=1.2, tpot_p50_s=0.02))
    assert view.usd_per_m() == 1  # 2 cents for 20,000 tokens
    told = dict(view.figures())
    assert told["cost so far"] == "$1.00/M at $2.00/h"
    assert told["failed"] == "3"
    assert told["TTFT"] == "p50 50 ms, p99 1.20 s"
    assert "100" not in told["answered"]


def test_another_load_test_begins_anew():
    view = LoadView()
    view.add(progress(30, 100))
    view.add(progress(1, 2))
    view.add(progress(2, 4))
    assert dict(view.figures())["answered"] == "4, 2.0/s"
