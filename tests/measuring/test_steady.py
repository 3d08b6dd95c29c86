"""Where a stage becomes steady: worked examples, real shapes with noise, and what must not pass for a warm-up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.workload import ClosedLoop
from deploykit.measuring.measure import measure
from deploykit.measuring.samples import RequestSample
from deploykit.measuring.steady import find_cut, mser
from tests.measuring.builders import make_run, make_sample, make_workload, rng

N = 250


def noise(seed: int, phi: float = 0.0) -> list[float]:
    """About 10, deviation 2; neighbours as alike as phi says."""
    draw = rng(seed)
    value, made = draw.gauss(0, 1), []
    for _ in range(N):
        value = phi * value + (1 - phi * phi) ** 0.5 * draw.gauss(0, 1)
        made.append(10 + 2 * value)
    return made


def cuts(change, phi: float = 0.0, runs: int = 60) -> list[float | None]:
    """The share that is cut off, or None, for series of noise that were changed."""
    found = (find_cut([value + change(i) for i, value in enumerate(noise(seed, phi))]) for seed in range(runs))
    return [None if cut is None else cut / N for cut in found]


def test_mser_worked_by_hand() -> None:
    # Batches: 100, then 1 three times and 3 three times. After one batch is cut: squares 6, of 6 batches, 6 / 36 = 0.167;
    # after two: sum of squares 1.2 * 2 + 0.8 * 3... = 4.8, of 5, 4.8 / 25 = 0.192; with the 100: far more.
    batches = [100.0, 1, 1, 1, 3, 3, 3]
    assert mser([value for value in batches for _ in range(5)]) == 5
    assert mser([1.0] * 60) == 0  # of equals the earliest


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_steady_noise_is_left_whole(phi: float) -> None:
    found = cuts(lambda _: 0, phi)
    assert found.count(0) >= 55
    assert found.count(None) <= 3


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_a_warm_up_is_cut_off(phi: float) -> None:
    found = cuts(lambda i: 6 if i < 0.3 * N else 0, phi)
    assert sum(cut is not None and 0.25 <= cut <= 0.4 for cut in found) >= (54 if phi == 0 else 40)
    slow = cuts(lambda i: -10 * math.exp(-i / 20))
    assert sum(cut is not None and 0.05 <= cut <= 0.4 for cut in slow) >= 55


def test_what_changes_until_the_end_is_steady_nowhere() -> None:
    assert cuts(lambda i: 10 * i / N).count(None) >= 55
    assert cuts(lambda i: 100 * i / N).count(None) >= 59
    assert cuts(lambda i: 6 if i < 0.7 * N else 0).count(None) >= 50
    assert find_cut([float(i) for i in range(N)]) is None


@pytest.mark.parametrize("at", [0.1, 0.2, 0.4, 0.8])
def test_one_stall_is_no_warm_up(at: float) -> None:
    found = cuts(lambda i: 100 if at * N <= i < at * N + 8 else 0)
    assert sum(cut is not None and cut <= at for cut in found) >= 48


@given(st.lists(st.floats(-1e6, 1e6), min_size=50, max_size=120))
def test_any_series_has_an_answer_in_its_first_half(values: list[float]) -> None:
    cut = find_cut(values)
    assert cut is None or (0 <= cut <= len(values) / 2 and cut % 5 == 0)


def answered(at: float, ttft_s: float, request: int) -> RequestSample:
    """A request that is answered by four events, 0.1 s apart."""
    return make_sample(
        request=request, intended_s=at, sent_s=at, first_token_s=at + ttft_s, last_token_s=at + ttft_s + 0.3,
        done_s=at + ttft_s + 0.3, token_events_s=tuple(ttft_s + n / 10 for n in range(4)),
    )  # fmt: skip


SLOW_START = [answered(n / 10 + 0.01, 3.0 if n < 200 else 0.2, n) for n in range(990)]
"""100 s of ten requests a second; those of the first 20 s wait 3 s for their first token."""


def run_of(samples, *, warmup_s: float = 0, duration_s: float = 100):
    workload = make_workload(warmup_s=warmup_s, stages=(ClosedLoop(users=2, duration_s=duration_s),))
    return make_run(*samples, workload=workload, generator={"stage_ends_s": (duration_s,)})


def test_the_window_begins_where_every_series_is_steady_and_says_how() -> None:
    stage = measure(run_of(SLOW_START)).stages[0]
    assert stage.steady is not None
    assert (stage.steady.method, stage.steady.found) == ("mser-5", True)
    assert {one.name for one in stage.steady.series} == {"output tokens/s", "requests in flight", "TTFT"}
    assert stage.window_start_s == max(one.from_s or 0 for one in stage.steady.series)
    assert 19.5 <= stage.window_start_s <= 26
    assert stage.ttft.max == pytest.approx(0.2, abs=1e-6) or stage.window_start_s < 23.5


def test_it_never_begins_before_the_stated_warm_up() -> None:
    stage = measure(run_of(SLOW_START, warmup_s=40)).stages[0]
    assert stage.window_start_s == 40
    assert stage.steady is not None
    assert stage.steady.declared_start_s == 40


def test_no_steady_state_is_a_doubt_and_the_stated_warm_up_stands() -> None:
    ever_slower = [answered(n / 10 + 0.01, 0.1 + n / 100, n) for n in range(990)]
    measured = measure(run_of(ever_slower, warmup_s=5))
    assert measured.verdict == "UNCLEAR"
    assert "not-steady" in {caveat.code for caveat in measured.caveats}
    assert measured.stages[0].window_start_s == 5


def test_of_a_few_requests_the_stated_warm_up_is_taken() -> None:
    stage = measure(run_of(SLOW_START[:49], warmup_s=1, duration_s=10)).stages[0]
    assert stage.steady is not None
    assert (stage.steady.method, stage.window_start_s) == ("declared", 1)
    assert "too few" in stage.steady.why
