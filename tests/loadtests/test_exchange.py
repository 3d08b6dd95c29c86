"""A response in pieces: what is kept of it, and how much of it is read at once before the first token."""

import itertools
import json

import pytest
from exchange import Exchange, Framing, Response
from geventhttpclient.response import HTTPParseError
from hypothesis import given
from hypothesis import strategies as st

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ROLE = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'
TOKEN = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
LAST = b'data: {"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


WHOLE = HEAD + b"".join(map(chunk, [ROLE, *[TOKEN] * 30, LAST, DONE, b""]))


def take(*pieces: bytes) -> tuple[Exchange, bool]:
    exchange = Exchange()
    response = Response(exchange)
    return exchange, [response.take(float(at), piece) for at, piece in enumerate(pieces)][-1]


@given(cuts=st.lists(st.integers(1, len(WHOLE) - 1), max_size=40))
def test_however_a_response_is_cut_it_is_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(WHOLE)]
    exchange, over = take(*(WHOLE[low:high] for low, high in itertools.pairwise(edges)))
    answer = exchange.answer()
    assert over
    assert (exchange.status, exchange.ended, answer.complete) == (200, float(len(edges) - 2), True)
    assert len(answer.token_times) == 31


def test_an_event_streams_bytes_are_let_go_and_its_beginning_is_kept() -> None:
    exchange, _ = take(HEAD, *[chunk(TOKEN)] * 100)
    assert not exchange.reads
    assert exchange.tokens == 100
    assert len(exchange.body) < 500
    assert exchange.body.startswith(TOKEN)


@pytest.mark.parametrize("status", [b"200 OK", b"500 Dead"])
def test_any_other_body_is_kept_whole(status: bytes) -> None:
    said = json.dumps({"tokens": list(range(500)), "count": 500}).encode()
    pieces = [said[at : at + 50] for at in range(0, len(said), 50)]
    head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(said))
    exchange, over = take(head, *pieces)
    assert over
    assert exchange.body == said


def test_an_interim_response_is_not_the_response() -> None:
    exchange, over = take(b"HTTP/1.1 100 Continue\r\n\r\n", HEAD, chunk(LAST) + chunk(DONE), chunk(b""))
    assert over
    assert (exchange.status, exchange.headers, exchange.answer().complete) == (200, 1.0, True)


def test_a_connection_that_ends_early_and_what_is_no_http_are_errors() -> None:
    with pytest.raises(ConnectionResetError, match="before the answer's end"):
        take(HEAD, chunk(TOKEN), b"")
    with pytest.raises(ConnectionResetError):
        take(b"")
    with pytest.raises(HTTPParseError):
        take(b"SSH-2.0-OpenSSH\r\n")


def test_a_body_without_length_ends_with_the_connection() -> None:
    exchange, over = take(b"HTTP/1.0 200 OK\r\n\r\n", LAST, DONE, b"")
    assert over
    assert (exchange.ended, exchange.answer().complete) == (3.0, True)


def test_reads_before_the_first_token_never_reach_into_the_next_chunk() -> None:
    """With everything waiting in the socket: what the first token is in holds nothing that was sent after it."""
    exchange, framing, rest, reads = Exchange(), Framing(), WHOLE, []
    response = Response(exchange)
    while not exchange.tokens:
        read, rest = rest[: framing.bound], rest[framing.bound :]
        response.take(float(len(reads)), read)
        framing.feed(read)
        reads.append(read)
    assert b"".join(reads) == HEAD + chunk(ROLE) + chunk(TOKEN)
    assert len(reads) <= 5


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_framing_survives_any_bytes_and_always_asks_for_some(data: bytes, cuts: list[int]) -> None:
    framing = Framing()
    edges = [0, *sorted(cuts), len(HEAD + data)]
    for low, high in itertools.pairwise(edges):
        framing.feed((HEAD + data)[low:high])
        assert framing.bound > 0


def test_a_body_without_chunks_is_read_in_small_pieces() -> None:
    framing = Framing()
    framing.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123")
    assert framing.bound == Framing.FIRST
