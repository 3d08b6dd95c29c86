"""A stand-in of the HTTP APIs of GitHub and GitLab, as a process: comments in pages, users, limits and failures.

`python code_host.py` prints its port. POST /_set changes what it does, GET /_state tells what it saw.
"""

import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "token-of-the-test"
LIMIT = 65_536


class State:
    """What the host holds, and how it misbehaves."""

    def __init__(self) -> None:
        self.comments: list[dict] = []
        self.seen: list[list] = []
        self.me = "deploykit-bot"
        self.sha = "a" * 40
        self.user_status = 200
        self.fail: list[dict] = []
        """Answers to give instead, one for each request that matches: method, status, headers, after."""


STATE = State()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args) -> None:
        """Say nothing."""

    def answer(self, status: int, value: object, headers: dict | None = None) -> None:
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        url = urlsplit(self.path)
        if url.path == "/_state":
            self.answer(200, {"comments": STATE.comments, "seen": STATE.seen})
            return
        if url.path == "/_set":
            for key, value in json.loads(content).items():
                setattr(STATE, key, value)
            self.answer(200, {})
            return
        body = json.loads(content) if content else {}
        STATE.seen.append([self.command, self.path])
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or self.headers.get("PRIVATE-TOKEN")
        if token != TOKEN:
            self.answer(401, {"message": "Bad credentials"})
            return
        for planned in STATE.fail:
            if planned["method"] == self.command and re.search(planned.get("path", ""), self.path):
                STATE.fail.remove(planned)
                if planned.get("after"):  # it was done, and the answer was lost
                    self.route(self.command, url, body, lost=True)
                headers = planned.get("headers", {})
                if headers.get("x-ratelimit-reset") == "soon":
                    headers["x-ratelimit-reset"] = str(int(time.time()))
                if planned["status"] == 0:
                    self.close_connection = True
                    return
                self.answer(planned["status"], planned.get("value", {"message": "no <b>luck</b>"}), headers)
                return
        self.route(self.command, url, body)

    def route(self, method: str, url, body: dict, *, lost: bool = False) -> None:
        path, query = unquote(url.path), parse_qs(url.query)
        answer = (lambda *_a: None) if lost else self.answer
        if path == "/user":
            answer(STATE.user_status, {"login": STATE.me, "username": STATE.me})
        elif re.fullmatch(r"/repos/o/r/pulls/7|/projects/o/r/merge_requests/7", path):
            answer(200, {"head": {"sha": STATE.sha}, "sha": STATE.sha})
        elif re.fullmatch(r"/repos/o/r/issues/7/comments|/projects/o/r/merge_requests/7/notes", path):
            if method == "GET":
                size, page = int(query["per_page"][0]), int(query["page"][0])
                answer(200, STATE.comments[(page - 1) * size : page * size])
            elif len(body["body"]) > LIMIT:
                answer(422, {"message": "Validation Failed: body is too long (maximum is 65536 characters)"})
            else:
                made = comment(len(STATE.comments) + 1, STATE.me, body["body"])
                STATE.comments.append(made)
                answer(201, made)
        elif found := re.fullmatch(
            r"/repos/o/r/issues/comments/(\d+)|/projects/o/r/merge_requests/7/notes/(\d+)", path
        ):
            number = int(found[1] or found[2])
            mine = next((c for c in STATE.comments if c["id"] == number), None)
            if mine is None or method not in {"PATCH", "PUT"}:
                answer(404, {"message": "Not Found"})
                return
            mine["body"] = body["body"]
            answer(200, mine)
        else:
            answer(404, {"message": "Not Found"})

    do_GET = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815 - the base class calls them so


def comment(number: int, who: str, body: str) -> dict:
    """A comment as both APIs have it."""
    return {
        "id": number, "body": body, "user": {"login": who}, "author": {"username": who}, "system": False,
        "html_url": f"https://host.example/o/r/pull/7#c{number}",
    }  # fmt: skip


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
