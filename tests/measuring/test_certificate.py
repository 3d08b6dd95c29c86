"""Certificates of processes that measured themselves together, and of load tests made one after another."""

from deploykit.measuring.certificate import joined, worst
from tests.measuring.builders import make_certificate


def test_processes_together_have_the_load_of_all_and_the_worst_error() -> None:
    one = make_certificate(ttft_added_p99_s=0.002, itl_added_p99_s=0.0001)
    other = make_certificate(ttft_added_p99_s=0.001, itl_added_p99_s=0.0004, stamp="user")
    found = joined([one, other])
    assert found is not None
    assert (found.streams, found.events_per_s, found.wanted_events_per_s) == (4, 198, 200)
    assert (found.processes, found.responses) == (2, 8)
    assert (found.ttft_added_p99_s, found.itl_added_p99_s, found.stamp) == (0.002, 0.0004, "user")


def test_one_process_without_a_certificate_leaves_none_for_all() -> None:
    assert joined([make_certificate(), None]) is None
    assert joined([]) is None


def test_of_trials_the_heaviest_load_has_the_worst_figures() -> None:
    light = make_certificate(ttft_added_p99_s=0.009, coalesced_share=0.2)
    heavy = make_certificate(streams=64, wanted_events_per_s=3200, itl_added_p99_s=0.001)
    found = worst([light, heavy])
    assert (found.streams, found.wanted_events_per_s) == (64, 3200)
    assert (found.ttft_added_p99_s, found.itl_added_p99_s, found.coalesced_share) == (0.009, 0.001, 0.2)


def test_it_is_told_in_milliseconds() -> None:
    found = make_certificate(streams=1024, ttft_added_p99_s=0.00003, itl_added_p99_s=0.00001)
    assert found.says == "this client adds +0.03 ms to TTFT p99, 0.01 ms to ITL p99 at 1,024 streams"
    assert make_certificate(streams=1, ttft_added_p99_s=-0.0001).says.startswith("this client adds -0.10 ms")
    assert make_certificate(streams=1).says.endswith("at 1 stream")
