"""The stream parser: what is a token, when it came, and how an answer may end badly."""

import itertools
import json
from array import array

from hypothesis import given
from hypothesis import strategies as st
from stream import Answer, EventReader, body_message, read_answer


def event(delta: dict | None = None, *, finish: str | None = None, **more) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices, **more}).encode() + b"\n\n"


ROLE = event({"role": "assistant", "content": ""})
LAST = event({"content": "!"}, finish="length")
USAGE = event(
    None,
    usage={
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
)
DONE = b"data: [DONE]\n\n"
WHOLE = (
    ROLE
    + b": keep-alive\r\n\r\n"
    + event({"reasoning": "hm"})
    + event({"reasoning_content": "hm"}).replace(b"\n", b"\r\n")
    + event({"content": "é\\n"})
    + event({"content": ""})
    + LAST
    + USAGE
    + DONE
)


def times(*seconds: float) -> "array[float]":
    return array("d", seconds)


def one_by_one(*events: bytes) -> Answer:
    return read_answer((float(at), data) for at, data in enumerate(events))


def test_reasoning_under_both_names_and_text_are_tokens_roles_comments_and_empty_deltas_are_not() -> None:
    answer = one_by_one(
        ROLE,
        b": ping\n\n",
        event({"reasoning": "a"}),
        event({"reasoning_content": "b"}),
        event({"content": ""}),
        LAST,
        USAGE,
        DONE,
    )
    assert answer.token_times == times(2.0, 3.0, 5.0)
    assert answer.coalesced == 0
    assert answer.complete
    assert (answer.first_event, answer.first_reasoning, answer.first_answer) == (0.0, 2.0, 5.0)
    assert (answer.usage_at, answer.done_at) == (6.0, 7.0)


def test_usage_comes_from_the_event_without_choices() -> None:
    usage = one_by_one(LAST, USAGE, DONE).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (7, 5, 4, 2)


def test_usage_with_null_details_says_nothing_of_the_cache() -> None:
    usage = one_by_one(
        event(None, usage={"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": None}), DONE
    ).usage
    assert usage is not None
    assert usage.cached_tokens is None


def test_usage_below_zero_is_none() -> None:
    assert one_by_one(event(None, usage={"prompt_tokens": 7, "completion_tokens": -5}), DONE).usage is None
    details = {"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -1}}
    usage = one_by_one(event(None, usage=details), DONE).usage
    assert usage is not None
    assert usage.cached_tokens is None


def test_a_tool_call_and_a_plain_completion_are_tokens() -> None:
    call = event({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})
    plain = b'data: {"choices": [{"text": "x", "finish_reason": "stop"}]}\n\n'
    assert one_by_one(call, plain, DONE).token_times == times(0.0, 1.0)


def test_tokens_of_one_read_share_its_time_and_all_but_the_first_are_coalesced() -> None:
    answer = read_answer(
        [(1.0, ROLE + event({"content": "a"})), (2.0, event({"content": "b"}) * 3), (3.0, LAST + USAGE + DONE)]
    )
    assert answer.token_times == times(1.0, 2.0, 2.0, 2.0, 3.0)
    assert answer.coalesced == 2


def test_an_event_cut_in_two_has_the_time_of_the_read_that_ends_it() -> None:
    cut = event({"content": "a"})
    assert read_answer([(1.0, cut[:20]), (2.0, cut[20:]), (3.0, LAST + DONE)]).token_times == times(2.0, 3.0)


def test_done_without_its_blank_line_still_counts() -> None:
    assert read_answer([(1.0, LAST + b"data: [DONE]")]).complete


def test_a_stream_without_done_or_without_a_finish_reason_is_not_complete() -> None:
    assert not one_by_one(event({"content": "a"}), LAST).complete
    assert not one_by_one(event({"content": "a"}), DONE).complete
    assert one_by_one(event({"content": "a"}), LAST, DONE).complete


def test_an_error_inside_the_stream_is_kept_and_spoils_the_answer() -> None:
    answer = one_by_one(
        event({"content": "a"}), b'data: {"error": {"message": "engine died", "code": 500}}\n\n', LAST, DONE
    )
    assert answer.error == "engine died"
    assert not answer.complete


def test_an_event_that_is_not_json_spoils_the_answer() -> None:
    answer = one_by_one(b"data: {nope\n\n", LAST, DONE)
    assert answer.malformed == "{nope"
    assert not answer.complete


def test_events_of_odd_shapes_raise_nothing() -> None:
    odd = [
        b"data: []\n\n",
        b'data: {"choices": [null]}\n\n',
        b'data: {"choices": [{"delta": null}]}\n\n',
        b'data: {"usage": 3}\n\n',
    ]
    assert one_by_one(*odd, DONE).token_times == times()


@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=30))
def test_however_the_bytes_are_cut_the_answer_is_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[low:high] for low, high in itertools.pairwise(edges)]
    answer = read_answer((0.0, piece) for piece in pieces)
    whole = read_answer([(0.0, WHOLE)])
    assert (answer.usage, answer.finish_reason, answer.done, answer.malformed) == (
        whole.usage,
        whole.finish_reason,
        whole.done,
        None,
    )
    assert len(answer.token_times) == len(whole.token_times) == 4


@given(cuts=st.sets(st.integers(1, len(WHOLE) - 1)))
def test_times_never_run_backwards_and_coalesced_counts_the_shared_ones(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    answer = read_answer((float(at), WHOLE[low:high]) for at, (low, high) in enumerate(itertools.pairwise(edges)))
    assert list(answer.token_times) == sorted(answer.token_times)
    assert answer.coalesced == len(answer.token_times) - len(set(answer.token_times))


@given(data=st.binary(max_size=300))
def test_any_bytes_at_all_are_survived(data: bytes) -> None:
    read_answer([(0.0, data)])


def test_data_lines_of_one_event_are_joined() -> None:
    assert EventReader().feed(b"event: x\ndata: a\ndata:b\n\n") == [b"a\nb"]


def test_error_bodies_of_all_usual_shapes_give_their_sentence() -> None:
    assert body_message(b'{"error": {"message": "no such model", "code": 404}}') == "no such model"
    assert body_message(b'{"error": "nope"}') == "nope"
    assert body_message(b'{"object": "error", "message": "too long"}') == "too long"
    assert body_message(b'{"detail": "Not Found"}') == "Not Found"
    assert body_message(b"<html>\n  502 Bad Gateway") == "<html> 502 Bad Gateway"
    assert len(body_message(b"x" * 5000)) == 200


def test_figures_and_reasons_of_odd_types_are_none() -> None:
    odd = b'data: {"choices": [{"finish_reason": 3}], "usage": {"prompt_tokens": true, "completion_tokens": 1}}\n\n'
    answer = one_by_one(odd, b'data: {"choices": [{"finish_reason": "\\ud800"}]}\n\n')
    assert (answer.usage, answer.finish_reason) == (None, "?")


def test_messages_with_lone_surrogates_or_of_great_depth_are_survived() -> None:
    assert one_by_one(b'data: {"error": "\\ud800"}\n\n').error == "?"
    assert one_by_one(b"data: " + b"[" * 100_000 + b"\n\n").malformed
    assert body_message(b'{"error":' * 100_000).startswith('{"error"')
