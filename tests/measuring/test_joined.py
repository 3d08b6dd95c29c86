"""Runs after one another, as one."""

import datetime as dt

import pytest

from deploykit.catalog.stages import MOST_REQUESTS
from deploykit.measuring.joined import join_runs
from deploykit.measuring.measure import measure
from tests.measuring.builders import make_certificate, make_counters, make_run, moved


def later(run, seconds, **changes):
    generator = run.generator.model_copy(
        update={"started_at": run.generator.started_at + dt.timedelta(seconds=seconds), **changes}
    )
    return run.model_copy(update={"generator": generator})


def test_times_count_from_the_first_zero_and_stages_follow_each_other():
    one = make_run(moved(0.0), moved(1.0))
    other = later(make_run(moved(0.0)), 100, loop_lag_p99_s=0.5)
    joined = join_runs([one, other])
    stages = len(one.spec.workload.stages)
    assert len(joined.spec.workload.stages) == 2 * stages
    assert joined.samples[:2] == one.samples
    third = joined.samples[2]
    assert third.stage == one.samples[0].stage + stages
    assert third.request == one.samples[0].request + stages * MOST_REQUESTS
    assert third.intended_s == one.samples[0].intended_s + 100
    assert third.first_token_s == one.samples[0].first_token_s + 100
    assert third.token_events_s == one.samples[0].token_events_s, "they count from the send"
    assert joined.generator.loop_lag_p99_s == 0.5
    apart = measure(one).stages[0]
    again = measure(joined).stages[0]
    assert (again.requests, again.ttft) == (apart.requests, apart.ttft)


def test_counters_are_those_around_all_of_it_unless_the_engine_began_anew():
    one = make_run(moved(0.0), before=make_counters(0, 0), after=make_counters(10, 5))
    other = later(make_run(moved(0.0), before=make_counters(10, 5), after=make_counters(30, 9)), 60)
    assert join_runs([one, other]).after == other.after
    anew = later(make_run(moved(0.0), before=make_counters(0, 0), after=make_counters(3, 1)), 60)
    assert join_runs([one, anew]).after is None


def test_nothing_cannot_be_joined():
    with pytest.raises(ValueError, match="no runs"):
        join_runs([])


def test_the_certificate_of_all_is_the_worst_of_theirs_and_is_missing_where_one_is() -> None:
    light = make_certificate(streams=1, ttft_added_p99_s=0.004)
    heavy = make_certificate(streams=16, itl_added_p99_s=0.002)
    runs = [make_run(moved(0.0), generator={"certificate": one}) for one in (light, heavy)]
    found = join_runs(runs).generator.certificate
    assert found is not None
    assert (found.streams, found.ttft_added_p99_s, found.itl_added_p99_s) == (16, 0.004, 0.002)
    without = make_run(moved(0.0), generator={"certificate": None, "uncertified": "no engine"})
    facts = join_runs([*runs, without]).generator
    assert (facts.certificate, facts.uncertified) == (None, "no engine")
