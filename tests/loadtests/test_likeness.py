"""Events that are not parsed: they must be exactly those that would have said the same."""

import json
import timeit
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likeness import likeness
from stream import Answer, AnswerReader, EventReader

TEXTS = st.text(max_size=6) | st.sampled_from(["", " a", "\n", '"', "\\", "é", "漢", "\ud800", "\x00"])
DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, TEXTS),
    st.builds(lambda text: {"content": text, "reasoning": None}, TEXTS),
    st.builds(lambda text: {"reasoning": text}, TEXTS),
    st.builds(lambda text: {"reasoning_content": text, "content": ""}, TEXTS),
    st.builds(lambda text: {"reasoning": text, "content": text}, TEXTS),
    st.builds(lambda text: {"tool_calls": [{"function": {"arguments": text, "content": text}}]}, TEXTS),
    st.just({"role": "assistant", "content": ""}),
    st.just({"content": ["a part"]}),
    st.just(None),
)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """An event as some server might write it; most of them alike, some broken."""
    kind = draw(st.sampled_from(["delta"] * 12 + ["text", "usage", "error", "comment", "done", "odd"]))
    if kind in {"comment", "done", "odd"}:
        odd = [
            b": ping\n\n",
            b"data: {nope\n\n",
            b"data: []\n\n",
            b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        ]
        return b"data: [DONE]\n\n" if kind == "done" else odd[0] if kind == "comment" else draw(st.sampled_from(odd))
    event: dict[str, Any] = {"id": "chatcmpl-1", "created": draw(st.sampled_from([1, 1, 1, 1, 2])), "choices": []}
    if kind == "usage":
        event["usage"] = {"prompt_tokens": 7, "completion_tokens": draw(st.integers(-1, 9))}
    elif kind == "error":
        event["error"] = {"message": "died"}
    elif kind == "text":
        event["choices"] = [{"index": 0, "text": draw(TEXTS), "finish_reason": None}]
    else:
        finish = draw(st.sampled_from([None] * 8 + ["stop"]))
        event["choices"] = [{"index": 0, "delta": draw(DELTAS), "logprobs": None, "finish_reason": finish}]
    compact = draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ": ")]))
    data = json.dumps(event, separators=compact, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    start = draw(st.sampled_from([b"data: "] * 9 + [b"data:"]))
    return start + data + draw(st.sampled_from([b"\n\n"] * 9 + [b"\r\n\r\n", b"\n: ping\n\n", b"\ndata:  \n\n"]))


def fold(pieces: list[bytes], *, exact: bool) -> Answer:
    reader = AnswerReader(exact=exact)
    for at, piece in enumerate(pieces):
        reader.feed(float(at), piece)
    return reader.close(float(len(pieces)))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(events(), min_size=1, max_size=3).map(b"".join), max_size=25), st.data())
def test_whatever_the_stream_and_however_it_is_cut_the_answer_is_that_of_parsing_it_all(
    writes: list[bytes], data: st.DataObject
) -> None:
    pieces = []
    for write in writes:
        cut = data.draw(st.sampled_from([len(write)] * 5 + [1, len(write) // 2, len(write) - 1]))
        pieces += [piece for piece in (write[:cut], write[cut:]) if piece]
    assert fold(pieces, exact=False) == fold(pieces, exact=True)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=2))
def test_a_damaged_event_is_never_taken_for_one_that_is_alike(at: int, damage: bytes) -> None:
    whole = token("abc")
    pieces = [whole, whole[:at] + damage + whole[at + len(damage) :], whole]
    assert fold(pieces, exact=False) == fold(pieces, exact=True)


def token(text: Any, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    return b"data: " + json.dumps({"id": "chatcmpl-1", "choices": [choice]} | more).encode() + b"\n\n"


def data_of(event: bytes) -> bytes:
    return EventReader().feed(event)[0]


def test_a_likeness_fits_other_text_and_nothing_else() -> None:
    data = data_of(token("abc"))
    like = likeness(data, json.loads(data))
    assert like is not None
    assert like.kind == "answer"
    assert all(like.fits(data_of(token(text))) for text in ("x", " two words", "é漢", "\n", '"'))
    assert not any(like.fits(data_of(token(text))) for text in ("", None, 3))
    assert not like.fits(data_of(token("abc", id="chatcmpl-2")))
    assert not like.fits(data_of(token("abc", usage={"prompt_tokens": 1, "completion_tokens": 1})))


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"delta": {"content": "a", "reasoning": "b"}}]},  # of two kinds
        {"choices": [{"delta": {"content": ["a"]}}]},
        {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": "a", "tool_calls": [{}]}}]},
        {"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    ],
)
def test_what_is_no_plain_token_has_no_likeness(event: dict[str, Any]) -> None:
    assert likeness(json.dumps(event).encode(), event) is None


def test_a_key_written_twice_has_no_likeness() -> None:
    twice = b'{"choices": [{"delta": {"content": "a", "content": "b"}}]}'
    assert likeness(twice, json.loads(twice)) is None


def test_events_that_are_alike_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda data: parsed.append(data) or loads(data))
    fold([token(f" t{index}") for index in range(500)], exact=False)
    assert len(parsed) <= 3  # the first event, and the proof of its likeness


def test_where_no_two_events_are_alike_likenesses_are_hardly_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda data: parsed.append(data) or loads(data))
    fold([token("a", id=f"chatcmpl-{index}") for index in range(500)], exact=False)
    assert len(parsed) <= 500 + 10


def test_reasoning_and_then_an_answer_are_both_taken() -> None:
    reasoning = [token("x").replace(b'"content"', b'"reasoning"')] * 20
    answer = fold(reasoning + [token("x")] * 20, exact=False)
    assert (answer.first_reasoning, answer.first_answer, len(answer.token_times)) == (0.0, 20.0, 40)


if __name__ == "__main__":
    stream = [token(f" t{index}") for index in range(1000)]
    for exact in (False, True):
        seconds = min(timeit.repeat(lambda exact=exact: fold(stream, exact=exact), number=1, repeat=5))
        print(f"exact={exact}: {seconds * 1000:.2f} us an event")  # noqa: T201
