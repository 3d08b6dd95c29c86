"""The load a generator certifies itself at, and what its certificate says against a run."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.workload import ClosedLoop, Fixed, OpenLoop, Slo
from deploykit.caveat import Caveat
from deploykit.measuring.certifying import MOST_STREAMS, certified_load
from deploykit.measuring.measure import measure
from tests.measuring.builders import make_certificate, make_run, make_workload, moved


def test_a_closed_loop_is_certified_at_its_most_users() -> None:
    workload = make_workload(stages=(ClosedLoop(users=4, duration_s=9), ClosedLoop(users=8, to_users=64, duration_s=9)))
    assert certified_load(workload, 1) == (64, 3200)  # 50 events/s for each
    assert certified_load(workload, 4) == (16, 800)


def test_an_open_loop_is_certified_at_what_it_has_in_flight_if_answers_last_20_ms_a_token() -> None:
    stages = (OpenLoop(requests_per_s=10, to_requests_per_s=30, duration_s=60),)
    assert certified_load(make_workload(stages=stages, output_tokens=Fixed(tokens=100)), 1) == (60, 3000)
    # an answer that lasts longer than the stage: no more than arrive in it are in flight
    short = (OpenLoop(requests_per_s=30, duration_s=1),)
    assert certified_load(make_workload(stages=short, output_tokens=Fixed(tokens=100)), 1) == (30, 1500)


@given(users=st.integers(1, 100_000), processes=st.integers(1, 256))
def test_a_process_reads_its_share_and_no_more_than_an_engine_can_give(users: int, processes: int) -> None:
    load = certified_load(make_workload(stages=(ClosedLoop(users=users, duration_s=1),)), processes)
    assert 1 <= load.streams <= MOST_STREAMS
    assert load.streams == MOST_STREAMS or 0 <= load.streams * processes - users < processes


def caveats(slo: Slo, **generator: Any) -> dict[str, Caveat]:
    certified = generator.pop("certificate_s", 2)
    run = make_run(*(moved(i / 10, request=i) for i in range(40)), workload=make_workload(slo=slo), generator=generator)
    run = run.model_copy(update={"spec": run.spec.model_copy(update={"certificate_s": certified})})
    return {caveat.code: caveat for caveat in measure(run).caveats}


LIMITS = Slo(ttft_s=2, tpot_s=0.05, share=0.9)


def test_what_stays_within_the_slos_share_is_no_doubt() -> None:
    found = caveats(LIMITS, certificate=make_certificate(ttft_added_p99_s=0.04, itl_added_p99_s=0.001))
    assert not {code for code in found if "certif" in code}


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ({"ttft_added_p99_s": 0.041}, "adds 41.00 ms to TTFT p99 at 2 streams, 2.1% of the SLO's limit of 2000 ms"),
        ({"itl_added_p99_s": 0.002}, "adds 2.00 ms to ITL p99 at 2 streams, 4.0% of the SLO's limit of 50 ms"),
    ],
)
def test_what_is_above_it_is_invalid_and_names_the_number(added: dict[str, float], says: str) -> None:
    found = caveats(LIMITS, certificate=make_certificate(**added))["certificate"]
    assert found.weight == "invalid"
    assert says in found.says


def test_without_a_limit_the_measured_median_is_what_it_is_held_against_and_it_is_a_doubt() -> None:
    # TTFT is 1 s and a gap is 1 s in every sample
    assert "certificate" not in caveats(Slo(), certificate=make_certificate(ttft_added_p99_s=0.02))
    found = caveats(Slo(), certificate=make_certificate(ttft_added_p99_s=0.021))["certificate"]
    assert (found.weight, "2.1% of the measured median of 1e+03 ms" in found.says) == ("doubt", True)
    assert "ITL" in caveats(Slo(ttft_s=2), certificate=make_certificate(itl_added_p99_s=0.03))["certificate"].says


def test_a_run_that_wanted_none_has_a_note_and_one_that_failed_a_doubt() -> None:
    off = caveats(LIMITS, certificate=None, certificate_s=0)["not-certified"]
    assert off.weight == "note"
    failed = caveats(LIMITS, certificate=None, uncertified="the paced engine did not start")["not-certified"]
    assert failed.weight == "doubt"
    assert failed.says.endswith("the paced engine did not start")


def test_a_certificate_of_a_lighter_load_than_the_runs_says_so() -> None:
    # 40 answers of 4 events begin within 4 s of the 10 s of the window
    found = caveats(LIMITS, certificate=make_certificate(events_per_s=5, wanted_events_per_s=100))
    assert found["certificate-short"].weight == found["certificate-below"].weight == "note"
    assert "16 token events/s" in found["certificate-below"].says
