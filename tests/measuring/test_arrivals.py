"""The audit of arrivals: true processes pass, and what other generators really did wrong does not."""

import itertools
import random

import pytest

from deploykit.catalog.workload import ClosedLoop, OpenLoop
from deploykit.measuring.arrivals import audit_arrivals, process_of
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import ArrivalAudit
from deploykit.measuring.processes import Process
from deploykit.measuring.window import Window
from tests.measuring.builders import make_run, make_sample, make_workload, rng

RATE, SECONDS = 20.0, 100.0
POISSON, CONSTANT = Process("poisson", RATE, 1.0), Process("constant", RATE, 0.0)


def gamma_times(draw: random.Random, rate: float, cv: float, seconds: float = SECONDS) -> list[float]:
    shape = 1 / cv**2
    gaps = (draw.gammavariate(shape, 1 / (rate * shape)) for _ in itertools.count())
    return list(itertools.takewhile(lambda at: at < seconds, itertools.accumulate(gaps)))


def audited(
    process: Process, times: list[float], lag=lambda _: 0.0002, workers: list[int] | None = None
) -> ArrivalAudit:
    samples = [
        make_sample(request=n, intended_s=at, sent_s=at + lag(n), worker=workers[n] if workers else 0)
        for n, at in enumerate(times)
    ]
    return audit_arrivals(process, samples, Window(0, SECONDS))


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
def test_a_true_process_passes_however_it_is_seeded(cv: float) -> None:
    process = Process("gamma", RATE, cv)
    failed = [
        found.failed for seed in range(40) if (found := audited(process, gamma_times(rng(seed), RATE, cv))).failed
    ]
    assert len(failed) <= 1, failed


def test_what_passes_is_told_in_numbers() -> None:
    found = audited(POISSON, gamma_times(rng(1), RATE, 1))
    assert found.passed
    assert found.expected == 2000
    assert found.distance is not None
    assert found.distance < (found.distance_limit or 0)
    assert (found.dispersion_low or 9) < 1 < (found.dispersion_high or 0)
    assert found.repeated == 0
    assert found.send_lag_p99_s == pytest.approx(0.0002, abs=1e-9)


def test_a_metronome_passes_as_constant_and_not_as_poisson() -> None:
    times = [n / RATE for n in range(2000)]
    assert audited(CONSTANT, times).passed
    assert audited(POISSON, times).passed is False


def test_exponential_gaps_that_are_called_constant_fail() -> None:
    # Drawn from an exponential and scaled to the right number: the count alone shows nothing.
    times = gamma_times(rng(2), RATE, 1)
    scaled = [at * SECONDS / times[-1] * 1999 / 2000 for at in times]
    found = audited(CONSTANT, scaled)
    assert found.passed is False
    assert any("constant" in why for why in found.failed)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_that_seed_one_generator_anew_in_lockstep_fail(workers: int) -> None:
    one = gamma_times(rng(3), RATE / workers, 1)
    times = sorted((at, worker) for at in one for worker in range(workers))
    found = audited(POISSON, [at for at, _ in times], workers=[worker for _, worker in times])
    assert found.passed is False
    assert (found.dispersion or 0) > (found.dispersion_high or 0)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_that_repeat_each_others_gaps_fail_though_they_start_apart(workers: int) -> None:
    # Each is a Poisson process, and so nearly is their sum; but each draws the same numbers.
    one = gamma_times(rng(4), RATE / workers, 1, 2 * SECONDS)
    times = sorted(((at + 7.3 * worker) % (2 * SECONDS), worker) for at in one for worker in range(workers))
    inside = [(at, worker) for at, worker in times if at < SECONDS]
    found = audited(POISSON, [at for at, _ in inside], workers=[worker for _, worker in inside])
    assert found.passed is False
    assert any("repeat" in why for why in found.failed)


def test_gaps_drawn_once_and_used_again_fail() -> None:
    # One schedule whose gaps each come twice, as from two workers that take turns at one offset.
    draw = rng(5)
    gaps = [gap for gap in (draw.expovariate(RATE) for _ in range(1000)) for _ in range(2)]
    times = [at for at in itertools.accumulate(gaps) if at < SECONDS]
    assert any("repeat" in why for why in audited(POISSON, times).failed)


def test_the_wrong_rate_fails() -> None:
    assert any("expected" in why for why in audited(POISSON, gamma_times(rng(6), RATE * 1.15, 1)).failed)


def test_a_lag_that_changes_fails_and_one_that_is_always_the_same_does_not() -> None:
    times = gamma_times(rng(7), RATE, 1)
    assert audited(POISSON, times, lag=lambda _: 0.2).passed
    late = audited(POISSON, times, lag=lambda n: 0.06 if n % 20 == 0 else 0.0)
    assert late.failed == ("the send lag changes by 60.0 ms, 24.4 ms are allowed",)  # half of the mean gap


def test_a_schedule_of_its_own_is_only_asked_how_it_was_kept() -> None:
    ramp = Process("schedule", None, 0.0)
    times = [(n / 20) ** 0.5 * 22 for n in range(400)]
    assert audited(ramp, times).passed
    assert audited(ramp, times).distance is None
    assert audited(ramp, times, lag=lambda n: n % 10 / 10).passed is False


def test_sessions_are_audited_by_when_they_begin() -> None:
    begun = gamma_times(rng(8), 5, 1)
    samples = [
        make_sample(request=2 * n + turn, intended_s=at + 3 * turn, sent_s=at + 3 * turn, session=n, turn=turn)
        for n, at in enumerate(begun)
        for turn in (0, 1)
    ]
    found = audit_arrivals(Process("poisson", None, 1.0), samples, Window(0, SECONDS))
    assert (found.passed, found.requests, found.expected) == (True, len(begun), None)


def test_too_few_requests_say_nothing() -> None:
    found = audited(POISSON, [1.0, 2.0])
    assert (found.passed, found.distance, found.dispersion, found.repeated) == (None, None, None, None)


def test_a_stage_names_its_process_and_a_closed_loop_has_none() -> None:
    assert process_of(ClosedLoop(users=1, duration_s=1)) is None
    assert process_of(OpenLoop(requests_per_s=3, duration_s=1)) == Process("poisson", 3, 1.0)
    assert process_of(OpenLoop(requests_per_s=3, arrivals="constant", duration_s=1)) == Process("constant", 3, 0.0)
    assert process_of(OpenLoop(requests_per_s=3, duration_s=1), sessions=True) == Process("poisson", None, 1.0)


def test_arrivals_that_are_not_what_they_are_called_are_a_doubt() -> None:
    workload = make_workload(stages=(OpenLoop(requests_per_s=RATE, arrivals="constant", duration_s=SECONDS),))
    times = gamma_times(rng(9), RATE, 1)
    samples = [
        make_sample(request=n, intended_s=at, sent_s=at, first_token_s=at + 0.1, last_token_s=at + 0.2, done_s=at + 0.2)
        for n, at in enumerate(times)
    ]
    measured = measure(make_run(*samples, workload=workload, generator={"stage_ends_s": (SECONDS,)}))
    assert "arrivals" in {caveat.code for caveat in measured.caveats}
    assert measured.verdict == "UNCLEAR"
