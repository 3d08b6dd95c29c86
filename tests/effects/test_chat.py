"""Asking an OpenAI-compatible server over a real socket: what is sent, what is tried again, and what is told of a failure."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploykit.effects.chat import TRIES, Chat
from deploykit.quality.tasks import Message
from tests.quality.builders import make_asked

HELLO = (Message(role="user", content="hello"),)
ANSWER = {
    "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}},
}


@contextmanager
def serving(*answers):
    """Serve `(status, body, headers)` one after the other, the last one for ever; yield address and what came in."""
    asked, left = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            status, told, headers = left.pop(0) if len(left) > 1 else left[0]
            text = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url, *, key=None, max_tokens=None, pauses=None, **changes):
    chat = Chat(
        make_asked(base_url=url, **changes), key, timeout_s=5, pause=(pauses if pauses is not None else []).append
    )
    return chat.ask(HELLO, max_tokens)


def test_what_is_sent_and_what_comes_back():
    with serving((200, ANSWER, {})) as (url, asked):
        told = ask(url, key="sk-1", max_tokens=7, temperature=0.5)
    assert (told.text, told.input_tokens, told.cached_tokens, told.output_tokens, told.reasoning_tokens) == (
        "hi",
        9,
        None,
        2,
        1,
    )
    ((path, authorization, body),) = asked
    assert (path, authorization) == ("/v1/chat/completions", "Bearer sk-1")
    assert (body["max_tokens"], body["temperature"], body["stream"]) == (7, 0.5, False)


def test_nothing_is_sent_that_was_not_said():
    with serving((200, ANSWER, {})) as (url, asked):
        ask(url)
    ((_, authorization, body),) = asked
    assert authorization is None
    assert set(body) == {"model", "messages", "stream"}


def test_a_busy_server_is_asked_again_after_as_long_as_it_says():
    pauses = []
    with serving((429, {}, {"Retry-After": "7"}), (503, {}, {}), (200, ANSWER, {})) as (url, asked):
        assert ask(url, pauses=pauses).text == "hi"
    assert (len(asked), pauses) == (3, [7, 2])


def test_it_is_not_asked_for_ever():
    with serving((503, {}, {})) as (url, asked):
        assert ask(url).why == "HTTP 503"
    assert len(asked) == TRIES


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_will_not_pass_is_not_asked_again(status):
    with serving((status, {}, {})) as (url, asked):
        assert ask(url).why == f"HTTP {status}"
    assert len(asked) == 1


def test_a_limit_by_another_name():
    refused = {"error": {"message": "use 'max_completion_tokens' instead", "type": "invalid_request_error"}}
    with serving((400, refused, {}), (200, ANSWER, {})) as (url, asked):
        assert ask(url, max_tokens=7).text == "hi"
    assert [sorted(set(body) & {"max_tokens", "max_completion_tokens"}) for _, _, body in asked] == [
        ["max_tokens"],
        ["max_completion_tokens"],
    ]


def test_an_error_is_told_by_its_names_and_not_by_its_message():
    error = {"message": "hello is not allowed", "type": "invalid_request_error", "code": None, "param": "temperature"}
    with serving((400, {"error": error}, {})) as (url, _):
        assert ask(url).why == "HTTP 400 invalid_request_error temperature"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b"[" * 100_000,
        b'{"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": -1}}',
    ],
)
def test_what_is_no_answer_is_a_failure(body):
    with serving((200, body, {})) as (url, _):
        assert ask(url).why == "not an answer of an OpenAI-compatible server"


def test_an_answer_without_usage_or_content():
    with serving((200, {"choices": [{"message": {"content": None}}]}, {})) as (url, _):
        told = ask(url)
    assert (told.text, told.output_tokens, told.finish_reason) == ("", None, None)


def test_nobody_there_is_a_failure():
    with serving((200, ANSWER, {})) as (url, _):
        pass
    assert ask(url).why == "no connection: ConnectionRefusedError"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_the_key_goes_nowhere_else(status):
    with serving((200, ANSWER, {})) as (away, elsewhere):
        with serving((status, {}, {"Location": f"{away}/v1/chat/completions"})) as (url, asked):
            found = ask(url, key="sk-secret")
        assert found.why == f"HTTP {status}: it sends on to another address, where the key is not taken"
        assert len(asked) == 1
        assert elsewhere == []
