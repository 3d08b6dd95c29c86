"""Requests to a code host's HTTP API: no redirects (they would take the token along), limits kept, failures told."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from typing import Any, NoReturn
from urllib.parse import urlsplit

from deploykit.effects.no_redirect import StayThere
from deploykit.errors import CommentError, TransientCommentError, UsageError

PAGE = 100
_MOST_PAGES = 100
_TIMEOUT_S = 30
_MOST_BYTES = 32 * 2**20
_LONGEST_WAIT_S = 120.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Rest:
    """One API.

    Args:
        base_url: where it is; https, or this machine.
        headers: of every request, the token among them.
        sleep: how to wait where the API says for how long.

    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urlsplit(base_url)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise UsageError("the address of the API is no https address", hint="such as https://api.github.com")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise UsageError(f"{base_url} is plain HTTP: everybody on the way would read the token", hint="use https")
        self._base, self._headers, self._sleep = base_url.rstrip("/"), dict(headers), sleep
        self._opener = urllib.request.build_opener(StayThere)

    def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return what is at a path."""
        return self._ask("GET", path, None)

    def pages(self, path: str) -> list[dict[str, Any]]:
        """Return the entries of all pages of a list."""
        found: list[dict[str, Any]] = []
        for page in range(1, _MOST_PAGES + 1):
            part = self.get(f"{path}{'&' if '?' in path else '?'}per_page={PAGE}&page={page}")
            if not isinstance(part, list) or not all(isinstance(one, dict) for one in part):
                raise CommentError(f"the API answers {path} with something that is no list")
            found += part
            if len(part) < PAGE:
                return found
        raise CommentError(f"{path} has more than {_MOST_PAGES * PAGE:,} entries")

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Send JSON and return the answer."""
        return self._ask(method, path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, data: bytes | None) -> Any:  # noqa: ANN401
        for _ in range(3):
            request = urllib.request.Request(f"{self._base}{path}", data=data, method=method)  # noqa: S310 - checked above
            for name, value in {**self._headers, "Content-Type": "application/json"}.items():
                request.add_unredirected_header(name, value)
            try:
                with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                    return _parse(answer.read(_MOST_BYTES))
            except urllib.error.HTTPError as error:
                with error:
                    wait = _wait_s(error.code, error.headers)
                    if wait is None:
                        _refused(method, path, error.code, error.read(4096))
                if wait > _LONGEST_WAIT_S:
                    raise CommentError(
                        f"the API's rate limit is used up for {wait:,.0f} s more", hint="post it later"
                    ) from None
                self._sleep(wait)
            except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
                raise TransientCommentError(
                    f"{self._base} does not answer: {getattr(error, 'reason', error)}"
                ) from None
        raise TransientCommentError("the API's rate limit stays used up")


def _wait_s(code: int, headers: Message) -> float | None:
    """Return for how long a limited caller must wait; None if it was not the limit that refused."""
    if code not in {403, 429}:
        return None
    try:
        if "Retry-After" in headers:
            return max(0.0, float(headers["Retry-After"]))
        if headers.get("x-ratelimit-remaining") == "0":
            return max(0.0, float(headers.get("x-ratelimit-reset", "0")) - time.time()) + 1
    except ValueError:
        pass
    return 60.0 if code == 429 else None


def _refused(method: str, path: str, code: int, content: bytes) -> NoReturn:
    if code >= 500:
        raise TransientCommentError(f"the API answers {method} {path} with {code}")
    hints = {
        401: "the token is wrong or has expired",
        403: "the token may not do this: it needs to write comments (`pull-requests: write`, or scope `api`); of a fork's pull request it never may",
        404: "wrong repository or number, or the token may not see it",
        422: "the API does not take this text",
    }
    hint = "the repository has moved: use its new name" if 300 <= code < 400 else hints.get(code)
    raise CommentError(f"the API answers {method} {path} with {code}{_message(content)}", hint=hint)


def _message(content: bytes) -> str:
    try:
        told = json.loads(content)
    except ValueError:
        return ""
    says = told.get("message") if isinstance(told, dict) else None
    return f": {' '.join(str(says).split())[:200]}" if says else ""


def _parse(content: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(content)
    except ValueError:
        raise CommentError("the API answers with something that is no JSON") from None
