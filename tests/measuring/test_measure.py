"""A run's measurements: every sum here is worked by hand beside it."""

import datetime as dt

import pytest

from deploykit.catalog.workload import ClosedLoop, OpenLoop, SharedPrefix, Slo, TraceReplay
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import Measurements, StageMeasurement
from deploykit.measuring.samples import Calibration, LoadTestRun, RequestSample
from tests.measuring.builders import START, failed, make_counters, make_run, make_sample, make_workload, moved


def stage(run: LoadTestRun) -> StageMeasurement:
    return measure(run).stages[0]


def codes(measured: Measurements) -> dict[str, str]:
    return {caveat.code: caveat.weight.value for caveat in measured.caveats}


def test_one_request_inside_the_window() -> None:
    measured = stage(make_run(make_sample()))
    assert (measured.requests, measured.good_requests, measured.failures) == (1, 1, {})
    assert measured.tokens.model_dump() == {"input": 10, "cached_input": None, "output": 8}
    assert measured.output_tokens_per_s == 0.8  # 8 tokens / 10 s
    assert measured.total_tokens_per_s == 1.8  # (10 + 8) / 10 s
    assert measured.requests_per_s == 0.1
    assert measured.ttft.mean == 1.0  # 2 - 1
    assert measured.tpot.mean == pytest.approx(3 / 7)  # (5 - 2) / (8 - 1)
    assert (measured.itl.count, measured.itl.mean) == (3, 1.0)
    assert measured.e2e.mean == 4.0  # 5 - 1
    assert measured.describes == "2 users, closed loop"


def test_latency_counts_from_the_intended_time_and_the_lag_is_told_apart() -> None:
    measured = stage(make_run(make_sample(intended_s=0.25)))
    assert (measured.ttft.mean, measured.e2e.mean, measured.send_lag.mean) == (1.75, 4.75, 0.75)


def test_the_warm_up_is_left_out_and_a_straddling_request_counts_in_part() -> None:
    # window (3, 10]: the first request's events at 4 and 5 s are inside, those at 2 and 3 s are not
    run = make_run(make_sample(), moved(2), workload=make_workload(warmup_s=3))
    measured = stage(run)
    assert measured.window_s == 7
    assert measured.output_tokens_per_s == pytest.approx((8 * 2 / 4 + 8) / 7)
    assert measured.total_tokens_per_s == pytest.approx((4 + 8 + 10) / 7)  # one first token inside, of moved(2)
    assert measured.requests == 2  # both ended inside
    assert measured.tokens.output == 16


def test_the_drain_is_left_out() -> None:
    late = moved(7)  # tokens at 8..12 s -> 8? first token at 9, then 10, 11, 12: two events at or before 10 s
    measured = stage(make_run(late))
    assert measured.requests == 0
    assert measured.tokens.output == 0
    assert measured.output_tokens_per_s == pytest.approx(8 * 2 / 4 / 10)


def test_usage_lists_exactly_the_requests_whose_tokens_are_counted() -> None:
    run = make_run(make_sample(cached_tokens=4), moved(1), moved(7), failed("timeout", 2))
    measured = measure(run)
    assert len(measured.usage) == 2
    assert sum(one.input_tokens for one in measured.usage) == measured.priced.tokens.input == 20
    assert sum(one.output_tokens for one in measured.usage) == measured.priced.tokens.output == 16
    # one response told a cached count, so none in the other means none cached
    assert [one.cached_tokens for one in measured.usage] == [4, 0]
    assert measured.priced.tokens.cached_input == 4
    assert measured.usage[0].at == START + dt.timedelta(seconds=1)


def test_failures_are_counted_even_when_they_end_in_the_drain_and_are_not_good() -> None:
    run = make_run(make_sample(), failed("timeout", 1), failed("cut_off", 8))  # due at 9 s, cut off at 13 s
    measured = stage(run)
    assert measured.failures == {"cut_off": 1, "timeout": 1}
    assert (measured.requests, measured.good_requests) == (3, 1)
    assert not measured.slo_met


def test_the_slo_needs_its_share_of_requests_to_meet_every_limit() -> None:
    slow = moved(1, first_token_s=4.5)  # TTFT 2.5 s
    run = make_run(make_sample(), slow, workload=make_workload(slo=Slo(ttft_s=2, share=0.5)))
    assert stage(run).good_requests == 1
    assert stage(run).slo_met
    strict = make_run(make_sample(), slow, workload=make_workload(slo=Slo(ttft_s=2, share=0.6)))
    assert not stage(strict).slo_met
    assert codes(measure(strict))["slo-missed"] == "doubt"
    for slo in (Slo(e2e_s=3.9), Slo(tpot_s=0.42)):
        assert stage(make_run(make_sample(), workload=make_workload(slo=slo))).good_requests == 0


def test_a_stage_that_met_the_slo_is_priced_before_a_faster_one_that_did_not() -> None:
    workload = make_workload(
        stages=(ClosedLoop(users=1, duration_s=10), ClosedLoop(users=2, duration_s=10)), slo=Slo(ttft_s=1.5)
    )
    slow = [moved(20 + by, stage=1, first_token_s=24.0 + by, last_token_s=25.0 + by) for by in (0, 0.1)]
    times = {"stage_starts_s": (0.0, 20.0), "stage_ends_s": (10.0, 30.0)}
    measured = measure(make_run(make_sample(), *slow, workload=workload, generator=times))
    assert [one.slo_met for one in measured.stages] == [True, False]
    assert measured.stages[1].total_tokens_per_s > measured.stages[0].total_tokens_per_s
    assert measured.priced_stage == 0
    assert len(measured.usage) == 1
    neither = measure(
        make_run(make_sample(), *slow, workload=workload.model_copy(update={"slo": Slo(ttft_s=0.1)}), generator=times)
    )
    assert neither.priced_stage == 1


def test_a_stage_in_whose_window_nothing_ended_is_not_priced_while_another_has_something() -> None:
    workload = make_workload(stages=(ClosedLoop(users=1, duration_s=10), ClosedLoop(users=8, duration_s=10)))
    late = [
        moved(20 + by, stage=1, last_token_s=31.0, done_s=31.0) for by in (0, 0.1, 0.2, 0.3)
    ]  # its window ends at 30 s
    times = {"stage_starts_s": (0.0, 20.0), "stage_ends_s": (10.0, 30.0)}
    measured = measure(make_run(make_sample(), *late, workload=workload, generator=times))
    assert measured.stages[1].total_tokens_per_s > measured.stages[0].total_tokens_per_s
    assert measured.priced_stage == 0
    assert len(measured.usage) == 1


def test_an_engine_that_ended_makes_the_run_invalid_whatever_was_measured() -> None:
    measured = measure(make_run(*ENOUGH).model_copy(update={"engine_ended": "engine-0 on node1 is failed"}))
    assert codes(measured)["engine-ended"] == "invalid"
    assert measured.verdict == "INVALID"


def test_gaps_are_withheld_where_events_came_together() -> None:
    run = make_run(make_sample(coalesced_events=1))  # 1 of 4
    measured = stage(run)
    assert measured.coalesced_share == 0.25
    assert (measured.itl.count, measured.itl.mean) == (3, None)
    assert codes(measure(run))["itl-withheld"] == "note"


def test_throughput_over_time_adds_up_to_the_tokens() -> None:
    points = stage(make_run(make_sample())).throughput
    assert len(points) == 10
    assert [point.output_tokens_per_s for point in points] == [0, 0, 2, 2, 2, 2, 0, 0, 0, 0]
    assert [point.requests_in_flight for point in points] == [0, 1, 1, 1, 1, 0, 0, 0, 0, 0]


def even(count: int) -> list[RequestSample]:
    """So many requests at even times over 10 s, each answered within 40 ms."""
    return [
        moved(10 * n / count - 0.99, first_token_s=10 * n / count + 0.02, last_token_s=10 * n / count + 0.05,
              done_s=10 * n / count + 0.05, token_events_s=(0.01, 0.02, 0.03, 0.04), output_tokens=4, wanted_output_tokens=4)
        for n in range(count)
    ]  # fmt: skip


ENOUGH = even(80)
"""More requests than a 90th percentile needs."""


def test_a_few_requests_are_not_enough_for_valid() -> None:
    measured = measure(make_run(*even(63)))
    assert measured.verdict == "UNCLEAR"
    assert codes(measured) == {"few-requests": "doubt"}


def test_a_clean_run_is_valid() -> None:
    measured = measure(make_run(*ENOUGH))
    assert measured.verdict == "VALID"
    assert set(codes(measured)) == {"few-requests"}
    assert measured.reconciliation.difference == 0


@pytest.mark.parametrize(
    ("counted", "weight"), [(1000, None), (1004, None), (1010, "doubt"), (1030, "invalid")]
)  # 0.4 %, 1 %, 2.9 %
def test_a_ledger_that_does_not_close_is_doubted_then_refused(counted: int, weight: str | None) -> None:
    run = make_run(make_sample(prompt_tokens=1000), after=make_counters(counted, 8))
    assert codes(measure(run)).get("token-ledger") == weight


def test_no_request_without_usage_explains_an_engine_that_counted_less_than_it_answered() -> None:
    run = make_run(make_sample(), failed("connection_error"), after=make_counters(5, 4))
    found = next(caveat for caveat in measure(run).caveats if caveat.code == "token-ledger")
    assert found.weight == "invalid"
    assert "it was started anew" in found.says


def test_requests_without_usage_explain_a_difference_so_it_is_only_doubted() -> None:
    run = make_run(make_sample(), failed("cut_off"), after=make_counters(20, 12))
    found = next(caveat for caveat in measure(run).caveats if caveat.code == "token-ledger")
    assert found.weight == "doubt"
    assert "1 requests ended without usage" in found.says


def test_the_calibrations_own_tokens_are_in_the_ledger() -> None:
    spent = Calibration(
        method="usage", tokens_per_word=1, template_tokens=0, requests=2, prompt_tokens=500, output_tokens=2
    )
    run = make_run(make_sample(), generator={"calibration": spent}, after=make_counters(510, 10))
    assert measure(run).reconciliation.difference == 0


def test_a_cached_difference_weighs_against_the_input() -> None:
    run = make_run(make_sample(prompt_tokens=1000, cached_tokens=500), after=make_counters(1000, 8, cached_tokens=510))
    assert measure(run).reconciliation.difference == 0.01


def test_an_engine_that_was_restarted_makes_the_run_invalid() -> None:
    run = make_run(make_sample(), before=make_counters(100, 100), after=make_counters(10, 8))
    measured = measure(run)
    assert codes(measured)["engine-restarted"] == "invalid"
    assert measured.verdict == "INVALID"
    assert measured.reconciliation.difference is None


def test_without_counters_the_run_stands_and_says_so() -> None:
    measured = measure(make_run(*ENOUGH, before=None, after=None))
    assert codes(measured)["not-reconciled"] == "note"
    assert measured.verdict == "VALID"


@pytest.mark.parametrize(("bad", "weight"), [(1, "note"), (3, "doubt"), (6, "invalid")])
def test_failures_weigh_by_their_share(bad: int, weight: str) -> None:
    samples = [moved(n / 100) for n in range(100 - bad)] + [
        failed("http_error", error="engine died") for _ in range(bad)
    ]
    measured = measure(make_run(*samples))
    found = next(caveat for caveat in measured.caveats if caveat.code == "failures")
    assert found.weight == weight
    assert "engine died" in found.says


def test_no_success_is_invalid_and_says_why() -> None:
    measured = measure(make_run(failed("connection_error", error="refused"), workload=make_workload(slo=Slo(ttft_s=1))))
    assert measured.verdict == "INVALID"
    assert "refused" in next(caveat for caveat in measured.caveats if caveat.code == "no-success").says
    assert measured.usage == ()


def test_a_late_generator_makes_the_run_unclear() -> None:
    for lag in ({"loop_lag_p99_s": 0.006}, {"loop_lag_max_s": 0.06}):
        measured = measure(make_run(make_sample(), generator=lag))
        assert measured.verdict == "UNCLEAR"
        assert codes(measured)["generator-lag"] == "doubt"
    assert codes(measure(make_run(make_sample(intended_s=0.9))))["send-lag"] == "doubt"  # 0.1 s late, TTFT 1.1 s
    assert codes(measure(make_run(make_sample(), generator={"cpu_share": 0.9})))["generator-busy"] == "doubt"


def test_an_answer_without_usage_makes_the_run_invalid() -> None:
    run = make_run(make_sample(), moved(1, prompt_tokens=None, output_tokens=None))
    assert codes(measure(run))["usage-missing"] == "invalid"


def test_an_open_loop_that_falls_behind_is_doubted() -> None:
    workload = make_workload(stages=(OpenLoop(requests_per_s=2, duration_s=10),))
    behind = [moved(n / 2, request=n, done_s=30.0, last_token_s=30.0) for n in range(16)]
    measured = measure(make_run(make_sample(), *behind, workload=workload))
    assert codes(measured)["backlog"] == "doubt"
    steady = [moved(n / 2, request=n) for n in range(10)]
    assert "backlog" not in codes(measure(make_run(*steady, workload=workload)))


def test_wrong_lengths_are_told() -> None:
    long = make_sample(wanted_prompt_tokens=9, wanted_output_tokens=10)
    found = codes(measure(make_run(long)))
    assert (found["prompt-length"], found["output-length"]) == ("note", "doubt")
    free = make_run(long, workload=make_workload(ignore_eos=False))
    assert "output-length" not in codes(measure(free))


def test_a_warm_up_longer_than_the_stage_leaves_an_empty_window_and_no_crash() -> None:
    measured = measure(make_run(make_sample(), workload=make_workload(warmup_s=60)))
    assert measured.stages[0].window_s == 0
    assert codes(measured)["empty-window"] == "invalid"


def test_a_cache_the_responses_do_not_tell_of_is_noted() -> None:
    run = make_run(make_sample(), after=make_counters(10, 8, cached_tokens=5))
    measured = measure(run)
    assert measured.priced.tokens.cached_input is None
    assert codes(measured)["cached-unknown"] == "note"


def test_the_gravest_caveat_comes_first() -> None:
    run = make_run(failed("timeout"), generator={"loop_lag_p99_s": 1.0}, before=None)
    weights = [caveat.weight.value for caveat in measure(run).caveats]
    assert weights == sorted(weights, key=["invalid", "doubt", "note"].index)


@pytest.mark.parametrize(
    ("tokens", "code", "weight"),
    [(1000, None, None), (1004, None, None), (1010, "tokens-per-event", "note"), (990, "events-without-tokens", "doubt"),
     (970, "events-without-tokens", "invalid")],
)  # fmt: skip
def test_events_are_a_third_count(tokens: int, code: str | None, weight: str | None) -> None:
    times = tuple(n / 1000 for n in range(1000))
    measured = measure(make_run(make_sample(token_events_s=times, output_tokens=tokens)))
    found = {k: v for k, v in codes(measured).items() if k in ("tokens-per-event", "events-without-tokens")}
    assert found == ({code: weight} if code else {})
    assert (measured.reconciliation.events, measured.reconciliation.event_tokens) == (1000, tokens)


def test_the_token_that_ends_an_answer_carries_no_text() -> None:
    measured = measure(make_run(make_sample(output_tokens=5, finish_reason="stop")))
    assert measured.reconciliation.tokens_per_event == 1


def test_the_engines_own_counters_tell_hits_and_accepted_drafts() -> None:
    before = make_counters(prefix_queries=100, prefix_hits=10)
    after = make_counters(10, 8, prefix_queries=1100, prefix_hits=610, draft_tokens=40, accepted_tokens=30)
    engine = measure(make_run(make_sample(), before=before, after=after)).engine
    assert engine is not None
    assert (engine.prefix_hit_share, engine.acceptance) == (0.6, 0.75)  # 600 of 1,000; 30 of 40, none before
    bare = measure(make_run(make_sample())).engine
    assert bare is not None
    assert (bare.prefix_hit_share, bare.acceptance) == (None, None)


def test_what_a_cache_could_hold_stands_beside_what_it_held() -> None:
    workload = make_workload(shared_prefix=SharedPrefix(tokens=30, distinct=2))  # 30 of 40 prompt tokens
    measured = measure(make_run(make_sample(prompt_tokens=40, cached_tokens=16), workload=workload))
    assert (measured.meant_reuse, measured.stages[0].cached_share) == (0.75, 0.4)


def test_the_first_answer_token_has_a_clock_of_its_own() -> None:
    thinking = make_sample(first_answer_s=4.0)
    only_thought = moved(1, first_answer_s=None)
    measured = stage(make_run(thinking, only_thought))
    assert measured.ttft_answer is not None
    assert (measured.ttft_answer.mean, measured.ttft_answer.count, measured.ttft_answer.censored) == (3.0, 2, 1)
    assert stage(make_run(make_sample())).ttft_answer is None


def test_a_users_speed_is_one_over_tpot() -> None:
    assert stage(make_run(make_sample())).tokens_per_s_per_user == pytest.approx(7 / 3)  # 3 s for 7 tokens


def test_latencies_count_requests_that_failed_as_slower_than_all() -> None:
    broken = moved(
        1, outcome="truncated", output_tokens=None, last_token_s=5.0, done_s=8.0, token_events_s=(1.0, 2.0, 3.0)
    )
    measured = stage(make_run(make_sample(), broken, failed("timeout", 2)))
    assert (measured.ttft.count, measured.ttft.censored) == (3, 1)  # the broken stream had a first token
    assert (measured.e2e.count, measured.e2e.censored) == (3, 2)
    assert (measured.tpot.count, measured.tpot.censored) == (2, 1)  # what never began has no pace
    assert (measured.itl.count, measured.itl.censored) == (6, 1)  # 3 + 2 gaps, and the one that never ended


def test_a_stream_that_hung_all_along_is_a_failure_of_the_window() -> None:
    hung = failed("cut_off", intended_s=0.5, sent_s=0.5, done_s=20.0)
    run = make_run(moved(4), hung, workload=make_workload(warmup_s=3))
    assert stage(run).failures == {"cut_off": 1}


def test_a_window_of_ten_blocks_has_intervals() -> None:
    within = stage(make_run(*ENOUGH)).within_run
    assert within is not None
    rate = within.intervals["output_tokens_per_s"]
    assert rate.high is not None
    assert rate.low <= stage(make_run(*ENOUGH)).output_tokens_per_s <= rate.high
    assert stage(make_run(make_sample())).within_run is None  # its one request takes 4 s, a block 1 s


def test_a_trace_is_measured_from_its_first_request_on():
    # The first request is due 3 s after the stage began: the idle seconds before it would make the rate too low.
    stage = TraceReplay(file="t", duration_s=10)
    run = make_run(moved(2, request=0), moved(4, request=1), workload=make_workload(stages=(stage,)))
    (made,) = measure(run).stages
    assert made.window_start_s == pytest.approx(3, abs=1e-3)
    assert made.window_end_s == 10
    assert made.requests_per_s == pytest.approx(2 / 7, rel=1e-3)
