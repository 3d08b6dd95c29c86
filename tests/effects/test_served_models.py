"""What a server says it serves, or why it can't be known."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploykit.effects.served_models import served_models
from deploykit.errors import LoadTestError


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        status, body = 200, json.dumps({"data": [{"id": "one"}, {"id": "two"}]})

        def do_GET(self):
            wanted = self.headers.get("Authorization") in {None, "Bearer right"}
            self.send_response(self.status if wanted else 401)
            self.end_headers()
            self.wfile.write(self.body.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}", Handler
        made.shutdown()


def test_the_names_are_told(server):
    assert served_models(server[0], api_key="right") == ("one", "two")


@pytest.mark.parametrize(
    ("key", "status", "body", "says"),
    [
        ("wrong", 200, "{}", "answers HTTP 401: it wants another key"),
        (None, 404, "{}", "answers HTTP 404"),
        (None, 200, "<html>", "does not answer as an OpenAI-compatible server"),
        (None, 200, '{"data": [3]}', "does not answer as an OpenAI-compatible server"),
    ],
)
def test_what_answers_instead_is_one_error(server, key, status, body, says):
    url, handler = server
    handler.status, handler.body = status, body
    with pytest.raises(LoadTestError, match=says) as caught:
        served_models(url, api_key=key)
    assert "wrong" not in str(caught.value).replace("the key", "")


def test_nobody_there_is_one_error():
    with pytest.raises(LoadTestError, match="does not answer"):
        served_models("http://127.0.0.1:9", api_key=None)


def test_a_redirect_is_one_error_and_the_key_goes_nowhere_else(server):
    url, handler = server
    asked = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        away = f"http://127.0.0.1:{other.server_port}/v1/models"
        handler.status, handler.body = 307, ""
        handler.end_headers = lambda self: (
            self.send_header("Location", away),
            BaseHTTPRequestHandler.end_headers(self),
        )
        with pytest.raises(LoadTestError, match="answers HTTP 307 and sends on to 'http") as caught:
            served_models(url, api_key="right")
        other.shutdown()
    assert asked == []
    assert "a key is sent nowhere else" in str(caught.value.hint)
