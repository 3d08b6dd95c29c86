"""Parity: each row on both sides of its edge, and what the whole then says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.costing.parity import (
    OfferEvidence,
    ParityInputs,
    QualityDifference,
    Service,
    parity,
    service_of,
)
from deploykit.measuring.measurements import Interval
from tests.costing.builders import make_measurements

OURS = Service(
    run="ours", workload="chat", usable=True, requests=900, tokens_per_s_per_user=50, ttft_p50_s=0.5,
    output_tokens_per_request=200,
)  # fmt: skip


def theirs(**changes):
    return OURS.model_copy(update={"run": "api", **changes})


def quality(low, high):
    return QualityDifference(
        tasks="t.jsonl", task_count=200, difference=(low + high) / 2, interval=Interval(low=low, high=high)
    )


def found(ours=OURS, **known):
    (one,) = parity(ParityInputs(offers=(OfferEvidence(offer="a", **known),)), ours, ["a"])
    return one


def verdict(what, ours=OURS, **known):
    return next(row.verdict for row in found(ours, **known).rows if row.what == what)


def test_nothing_is_known_of_an_offer_but_its_price():
    one = found()
    assert [row.verdict for row in one.rows] == ["not measured"] * 5
    assert (one.comparable, one.says) == (None, "nothing but the price is known of it")
    assert parity(ParityInputs(), OURS, ["b"])[0].comparable is None


def test_all_that_matches_is_comparable():
    one = found(service=theirs(), tier="standard", quality=quality(-0.02, 0.03))
    assert [row.verdict for row in one.rows] == ["match"] * 5
    assert (one.comparable, one.says) == (True, "comparable")


def test_what_differs_is_named_with_its_numbers():
    one = found(service=theirs(tokens_per_s_per_user=80, output_tokens_per_request=100), tier="batch")
    assert one.comparable is False
    assert one.says == (
        "not comparable, because tokens/s per user: ours 50, theirs 80; output tokens per request: ours 200, theirs 100; "
        "tier: ours standard, theirs batch"
    )


def test_what_is_left_to_measure_is_named():
    assert found(service=theirs()).says == "not measured: tier, quality"


@pytest.mark.parametrize(
    ("what", "changes", "expected"),
    [
        ("tokens/s per user", {"tokens_per_s_per_user": 55}, "match"),
        ("tokens/s per user", {"tokens_per_s_per_user": 55.1}, "differs"),
        ("tokens/s per user", {"tokens_per_s_per_user": 1}, "match"),
        ("tokens/s per user", {"tokens_per_s_per_user": None}, "not measured"),
        ("TTFT", {"ttft_p50_s": 0.46}, "match"),
        ("TTFT", {"ttft_p50_s": 0.45}, "differs"),
        ("TTFT", {"ttft_p50_s": 9.0}, "match"),
        ("output tokens per request", {"output_tokens_per_request": 182}, "match"),
        ("output tokens per request", {"output_tokens_per_request": 181}, "differs"),
        ("output tokens per request", {"output_tokens_per_request": 223}, "differs"),
        ("TTFT", {"usable": False}, "not measured"),
        ("TTFT", {"workload": "rag"}, "not measured"),
    ],
)
def test_the_edge_of_each_row(what, changes, expected):
    assert verdict(what, service=theirs(**changes)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.05, 0.2, "match"), (-0.051, 0.2, "not measured"), (-0.3, -0.06, "differs"), (-0.3, -0.05, "not measured")],
)
def test_quality_is_judged_by_its_interval(low, high, expected):
    assert verdict("quality", quality=quality(low, high)) == expected


def test_a_run_of_ours_that_is_invalid_matches_nothing():
    assert verdict("TTFT", OURS.model_copy(update={"usable": False}), service=theirs()) == "not measured"


@given(st.floats(0.001, 1e4), st.floats(0.001, 1e4), st.floats(1.0, 10.0))
def test_a_faster_node_of_ours_never_breaks_a_match(ours, api, faster):
    def at(pace):
        return verdict(
            "tokens/s per user",
            OURS.model_copy(update={"tokens_per_s_per_user": pace}),
            service=theirs(tokens_per_s_per_user=api),
        )

    assert not (at(ours) == "match" and at(ours * faster) == "differs")


def test_a_service_is_read_from_the_priced_stage():
    measured = make_measurements()
    seen = service_of("run", measured)
    assert seen.requests == measured.priced.requests
    assert seen.output_tokens_per_request == sum(u.output_tokens for u in measured.usage) / len(measured.usage)
    assert seen.ttft_p50_s == measured.priced.ttft.p50
