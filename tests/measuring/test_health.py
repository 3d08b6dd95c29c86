"""The generator against itself: a delay counts against what it is part of."""

import pytest

from deploykit.measuring.measure import measure
from deploykit.measuring.samples import LoadTestRun
from tests.measuring.builders import make_run, moved

QUICK = [
    moved(n / 100, first_token_s=2.0 + n / 100 - 0.9, last_token_s=2.0 + n / 100, done_s=2.0 + n / 100, stamp="user")
    for n in range(40)
]
"""TTFT 100 ms, each."""


def weight(run: LoadTestRun, code: str) -> str | None:
    return next((caveat.weight.value for caveat in measure(run).caveats if caveat.code == code), None)


@pytest.mark.parametrize(("lag", "expected"), [(0.004, None), (0.006, "doubt"), (0.024, "doubt"), (0.026, "invalid")])
def test_loop_lag_weighs_against_the_ttfts_tail(lag: float, expected: str | None) -> None:
    assert weight(make_run(*QUICK, generator={"loop_lag_p99_s": lag}), "generator-lag") == expected


def test_where_the_kernel_stamps_loop_lag_moves_nothing() -> None:
    stamped = [sample.model_copy(update={"stamp": "kernel"}) for sample in QUICK]
    run = make_run(*stamped, generator={"loop_lag_p99_s": 0.2})
    assert weight(run, "generator-lag") == "note"
    mixed = make_run(*stamped, QUICK[0], generator={"loop_lag_p99_s": 0.2})
    assert weight(mixed, "generator-lag") == "invalid"


@pytest.mark.parametrize(("late", "expected"), [(0.004, None), (0.02, "doubt"), (0.05, "invalid")])
def test_send_lag_weighs_against_the_ttft_it_is_part_of(late: float, expected: str | None) -> None:
    # due earlier by so much: TTFT is 100 ms and the lag; 50 of 150 ms are a third
    run = make_run(*(sample.model_copy(update={"intended_s": sample.intended_s - late}) for sample in QUICK))
    assert weight(run, "send-lag") == expected


def test_a_lost_process_makes_the_run_invalid() -> None:
    run = make_run(*QUICK, generator={"processes": 4, "lost": (2,)})
    assert weight(run, "generator-lost") == "invalid"
    assert "process 3 of 4" in measure(run).caveats[0].says
