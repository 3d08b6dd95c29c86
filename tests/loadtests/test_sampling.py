"""Outcomes: every way a request can end has one, and none is lost."""

import pytest
from sampling import decide, sample_of, told_without_content
from stream import Answer, Usage
from wire import Exchange

WHOLE = Answer(token_times=[1.2, 1.3], usage=Usage(7, 2, 4), finish_reason="length", done=True)


def exchange(**changes) -> Exchange:
    return Exchange(
        **{"sent": 1.0, "headers": 1.1, "status": 200, "reads": [(1.2, b"data: {}")], "ended": 1.4} | changes
    )


@pytest.mark.parametrize(
    ("wire", "answer", "outcome", "error"),
    [
        ({}, WHOLE, "ok", None),
        # whole, though the connection's own end then went wrong
        ({"failure": "timeout", "detail": "3 s"}, WHOLE, "ok", None),
        ({"status": 500, "reads": [(1.1, b'{"message": "dead"}')]}, Answer(), "http_error", "dead"),
        ({"status": 503, "reads": []}, Answer(), "http_error", "HTTP 503 without a body"),
        ({}, Answer(error="engine died", done=True), "http_error", "engine died"),
        ({}, Answer(token_times=[1.2]), "truncated", "the stream ended without [DONE]"),
        ({}, Answer(token_times=[1.2], done=True), "truncated", "the stream ended without a finish reason"),
        ({}, Answer(malformed="{x", done=True), "truncated", "an event is not JSON: {x"),
        ({"reads": [(1.2, b"<html>")]}, Answer(), "truncated", "no event stream: <html>"),
        ({"reads": []}, Answer(), "truncated", "an empty answer"),
        ({"failure": "timeout", "detail": "3 s"}, Answer(token_times=[1.2]), "timeout", "3 s"),
        ({"failure": "cut_off", "detail": "late"}, Answer(), "cut_off", "late"),
        (
            {"status": None, "headers": None, "failure": "connection_error", "detail": "refused"},
            Answer(),
            "connection_error",
            "refused",
        ),
    ],
)
def test_each_ending_has_its_outcome(wire: dict, answer: Answer, outcome: str, error: str | None) -> None:
    assert decide(exchange(**wire), answer) == (outcome, error)


def test_a_sample_holds_the_clocks_and_the_servers_counts() -> None:
    sample = sample_of(exchange(), WHOLE, ended_s=9, request=3, stage=1, user=2, intended_s=0.9, wanted_output_tokens=2)
    assert (sample.intended_s, sample.sent_s, sample.headers_s) == (0.9, 1.0, 1.1)
    assert (sample.first_token_s, sample.last_token_s, sample.done_s) == (1.2, 1.3, 1.4)
    assert sample.token_events_s == (0.2, 0.3)  # from sent
    assert (sample.prompt_tokens, sample.cached_tokens, sample.output_tokens) == (7, 4, 2)


def test_a_request_that_never_left_is_a_sample_too() -> None:
    lost = Exchange(failure="connection_error", detail="refused")
    sample = sample_of(lost, Answer(), ended_s=9, request=0, stage=0, user=0, intended_s=1, wanted_output_tokens=2)
    assert (sample.sent_s, sample.done_s, sample.outcome, sample.token_events_s) == (None, 9, "connection_error", ())


@pytest.mark.parametrize(
    ("wire", "answer", "says"),
    [
        (
            {"status": 400, "reads": [(1.1, b'{"message": "SECRET"}')]},
            Answer(),
            "HTTP 400; what the server said is withheld",
        ),
        ({}, Answer(error="SECRET", done=True), "the stream was not whole"),
        ({"reads": [(1.2, b"SECRET")]}, Answer(), "the stream was not whole"),
        ({}, Answer(malformed="SECRET", done=True), "the stream was not whole"),
        ({"failure": "timeout", "detail": ""}, Answer(token_times=[1.2]), "timeout after 1 token events"),
        ({"failure": "cut_off", "detail": "SECRET"}, Answer(), "cut off after 0 token events"),
        ({"status": None, "reads": [], "failure": "connection_error", "detail": "refused"}, Answer(), "refused"),
    ],
)
def test_what_went_wrong_with_ones_own_prompt_repeats_nothing_of_it(wire: dict, answer: Answer, says: str) -> None:
    about = {"request": 0, "stage": 0, "user": 0, "intended_s": 1, "wanted_output_tokens": 2}
    told = told_without_content(sample_of(exchange(**wire), answer, ended_s=9, **about))
    assert told.startswith(says)
    assert "SECRET" not in told
