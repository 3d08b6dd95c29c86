"""Requests over real sockets to a real server that misbehaves: each has its outcome and keeps what was measured."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from sampling import decide, sample_of
from stream import Answer
from wire import CutOff, Exchange, Server

from deploykit.measuring.samples import RequestSample
from tests.loadtests.servers import paced

TOKENS = 20
Client = Callable[[str], Server]
KERNEL = "kernel" if sys.platform == "linux" else "user"


@pytest.fixture
def client() -> Iterator[Client]:
    made: list[Server] = []

    def make(url: str) -> Server:
        made.append(Server(url, api_key="sk-secret", clock=time.perf_counter))
        return made[-1]

    yield make
    for server in made:
        server.close()


def ask(server: Server, *, timeout_s: float = 20, tokens: int = TOKENS) -> tuple[Exchange, Answer]:
    body = {"stream": True, "max_tokens": tokens, "messages": [{"role": "user", "content": "one two three"}]}
    exchange = Exchange()
    server.post("/v1/chat/completions", json.dumps(body).encode(), timeout_s=timeout_s, into=exchange)
    return exchange, exchange.answer()


def sample(exchange: Exchange, answer: Answer) -> RequestSample:
    about = {"request": 0, "stage": 0, "user": 0, "intended_s": exchange.sent or 0.0, "wanted_output_tokens": TOKENS}
    return sample_of(exchange, answer, ended_s=time.perf_counter(), **about)


def assert_whole(exchange: Exchange, answer: Answer, tokens: int = TOKENS) -> None:
    assert decide(exchange, answer) == ("ok", None)
    assert len(answer.token_times) == tokens
    assert answer.usage is not None
    assert answer.usage.output_tokens == tokens


def test_every_clock_of_a_request_is_read_in_order(client: Client) -> None:
    with paced(ttft_s=0.1, itl_s=0.01) as url:
        one = sample(*ask(client(url)))
    assert one.stamp == KERNEL
    assert one.first_reasoning_s is None
    assert one.first_token_s == one.first_answer_s
    clocks = (
        one.sent_s,
        one.headers_s,
        one.first_event_s,
        one.first_token_s,
        one.last_token_s,
        one.usage_s,
        one.done_s,
    )
    assert None not in clocks
    assert list(clocks) == sorted(clocks)  # type: ignore[type-var]
    assert one.first_token_s - one.sent_s >= 0.1
    assert len(one.token_events_s) == TOKENS


def test_reasoning_comes_before_the_answer_and_a_servers_own_dialect_is_understood(client: Client) -> None:
    with paced(ttft_s=0.01, itl_s=0.01, speaks="dialect") as url:
        one = sample(*ask(client(url)))
    assert one.outcome == "ok"
    assert one.first_reasoning_s is not None
    assert one.first_answer_s is not None
    assert one.first_token_s == one.first_reasoning_s < one.first_answer_s == one.last_token_s


def test_a_read_that_comes_late_has_the_time_at_which_its_bytes_came(client: Client) -> None:
    if KERNEL == "user":
        pytest.skip("only Linux stamps what it receives")
    with paced(ttft_s=0.2, itl_s=0.02) as url:
        server = client(url)
        ask(server)
        began = time.perf_counter()
        asking = gevent.spawn(ask, server)
        while time.perf_counter() < began + 0.1:
            gevent.sleep(0.01)  # the request is sent
        while time.perf_counter() < began + 0.4:
            pass  # nothing is read for ten tokens
        exchange, answer = asking.get()
    assert_whole(exchange, answer)
    assert exchange.sent is not None
    assert exchange.stamp == "kernel"
    assert 0.2 <= answer.token_times[0] - exchange.sent < 0.29  # were it stamped when it was read: 0.4
    assert answer.first_event is not None


@pytest.mark.parametrize("cut", [1, 2, 7, 64])
def test_however_the_stream_is_cut_the_answer_is_whole(client: Client, cut: int) -> None:
    with paced(ttft_s=0, itl_s=0, cut=cut) as url:
        assert_whole(*ask(client(url)))


def test_a_body_that_ends_with_its_connection_is_whole(client: Client) -> None:
    with paced(ttft_s=0.01, itl_s=0.001, http10=True) as url:
        server = client(url)
        for _ in range(3):
            exchange, answer = ask(server)
            assert_whole(exchange, answer)
            assert exchange.stamp == KERNEL


def test_long_answers_test_long_answers_keep_few_of_their_bytes_of_their_bytes(client: Client) -> None:
    with paced(ttft_s=0.01, itl_s=0.0001) as url:
        exchange, answer = ask(client(url), tokens=2000)
    assert_whole(exchange, answer, 2000)
    assert not exchange.reads
    assert len(exchange.body) < 1000


@pytest.mark.parametrize(
    ("fault", "outcome", "error", "status"),
    [
        ("http_401", "http_error", "Incorrect API key", 401),
        ("http_404", "http_error", "The model `paced` does not exist.", 404),
        ("http_429", "http_error", "too many requests", 429),
        ("http_500", "http_error", "the engine is dead", 500),
        ("http_503", "http_error", "no server is available", 503),
        ("truncate", "truncated", "without [DONE]", 200),
        ("malformed", "truncated", "an event is not JSON: {not json", 200),
        ("error", "http_error", "EngineCore died", 200),
        ("reset", "connection_error", "ConnectionResetError", 200),
        ("garbage", "connection_error", "HTTPParseError", 200),
        ("hang", "timeout", "no complete answer within 0.5 s", 200),
    ],
)
def test_a_fault_has_its_outcome_and_what_came_before_it_is_kept(
    client: Client, fault: str, outcome: str, error: str, status: int
) -> None:
    with paced(ttft_s=0.01, itl_s=0.001, fault=fault, fault_every=2) as url:
        server = client(url)
        assert_whole(*ask(server))
        broken = sample(*ask(server, timeout_s=0.5))
        assert_whole(*ask(server))
    assert (broken.outcome, broken.status) == (outcome, status)
    assert error in (broken.error or "")
    assert broken.headers_s is not None
    assert len(broken.token_events_s) == (TOKENS // 2 if status == 200 else 0)
    assert broken.done_s is not None


@pytest.mark.parametrize("fault", ["no_usage", "wrong_usage"])
def test_an_answer_without_a_usage_that_can_be_true_is_whole_and_has_no_counts(client: Client, fault: str) -> None:
    with paced(ttft_s=0.01, itl_s=0.001, fault=fault) as url:
        one = sample(*ask(client(url)))
    assert (one.outcome, one.output_tokens, one.usage_s, len(one.token_events_s)) == ("ok", None, None, TOKENS)


def test_a_stall_is_a_gap_of_its_length(client: Client) -> None:
    with paced(ttft_s=0.01, itl_s=0.001, fault="stall", stall_s=2) as url:
        one = sample(*ask(client(url)))
    gaps = [after - before for before, after in zip(one.token_events_s, one.token_events_s[1:], strict=False)]
    assert one.outcome == "ok"
    assert 1.9 < max(gaps) < 3
    assert sum(gap > 1 for gap in gaps) == 1


def test_a_head_that_comes_slowly_is_waited_for(client: Client) -> None:
    with paced(ttft_s=0.01, itl_s=0.001, fault="slow_headers", stall_s=0.5) as url:
        exchange, answer = ask(client(url))
    assert_whole(exchange, answer)
    assert exchange.headers is not None
    assert exchange.sent is not None
    assert exchange.headers - exchange.sent > 0.4


def test_nobody_at_the_address_is_a_connection_error(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    one = sample(*ask(client(f"http://127.0.0.1:{port}")))
    assert (one.outcome, one.stamp, one.headers_s) == ("connection_error", None, None)
    assert "Connection refused" in (one.error or "")


def test_a_name_that_does_not_exist_is_a_connection_error(client: Client) -> None:
    exchange, answer = ask(client("http://no-such-host.invalid"), timeout_s=5)
    assert decide(exchange, answer)[0] in {"connection_error", "timeout"}
    assert exchange.sent is None


def test_a_server_that_starts_anew_fails_what_was_running_and_serves_again(client: Client) -> None:
    with paced(ttft_s=0.01, itl_s=0.05) as url:
        server, port = client(url), int(url.rpartition(":")[2])
        assert_whole(*ask(server))
        running = gevent.spawn(ask, server)
        gevent.sleep(0.3)
    cut = sample(*running.get())
    assert cut.outcome in {"connection_error", "truncated"}
    assert 0 < len(cut.token_events_s) < TOKENS
    assert sample(*ask(server)).outcome == "connection_error"  # nobody is there
    with paced(ttft_s=0.01, itl_s=0.001, port=port):
        assert_whole(*ask(server))


def test_a_connection_closed_while_it_was_idle_is_replaced(client: Client) -> None:
    with paced(ttft_s=0.01, itl_s=0.001, idle_s=0.1) as url:
        server = client(url)
        for pause in (0, 0.3, 0.3):
            gevent.sleep(pause)
            assert_whole(*ask(server))


def test_a_connection_closed_just_as_it_is_used_again_is_replaced(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wire._readable", lambda _: False)  # it looked open a moment ago
    with paced(ttft_s=0.01, itl_s=0.001, idle_s=0.1) as url:
        server = client(url)
        for pause in (0, 0.3):
            gevent.sleep(pause)
            assert_whole(*ask(server))


def test_a_request_that_is_cut_off_keeps_its_tokens_and_disturbs_no_other(client: Client) -> None:
    with paced(ttft_s=0.01, itl_s=0.05) as url:
        server = client(url)
        ended, other = gevent.spawn(ask, server), gevent.spawn(ask, server)
        gevent.sleep(0.4)
        ended.kill(CutOff, block=False)
        one = sample(*ended.get())
        assert_whole(*other.get())
    assert one.outcome == "cut_off"
    assert 0 < len(one.token_events_s) < TOKENS


def test_many_streams_at_once_are_each_read_to_their_end(client: Client) -> None:
    with paced(ttft_s=0.1, itl_s=0.01) as url:
        server = client(url)
        asking = [gevent.spawn(ask, server) for _ in range(100)]
        for one in asking:
            assert_whole(*one.get())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
def test_over_tls_reads_are_stamped_by_this_process(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command: list[Any] = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "9", "-subj", "/CN=paced", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with paced(ttft_s=0.05, itl_s=0.01, tls=[str(certificate), str(key)]) as url:
        refused = sample(*ask(client(url)))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        server = client(url)
        for _ in range(2):
            exchange, answer = ask(server)
            assert_whole(exchange, answer)
            assert exchange.stamp == "user"
    assert refused.outcome == "connection_error"
    assert "CERTIFICATE_VERIFY_FAILED" in (refused.error or "")
