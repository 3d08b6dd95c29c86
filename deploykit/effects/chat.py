"""A conversation -> what an OpenAI-compatible address answers, with its usage: one whole answer, no stream."""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from deploykit.effects.no_redirect import StayThere
from deploykit.quality.results import Asked
from deploykit.quality.tasks import Message
from deploykit.workflows.quality import ChatAnswer, ChatFailure

TRIES = 4
LONGEST_PAUSE_S = 30.0
_OTHER_LIMIT = "max_completion_tokens"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_LONGEST = 20_000
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Chat:
    """Asks one endpoint.

    Args:
        asked: the endpoint.
        api_key: sent as a bearer; None sends none.
        timeout_s: how long an answer may take.
        pause: waits between two tries.

    """

    def __init__(
        self,
        asked: Asked,
        api_key: str | None,
        *,
        timeout_s: float = 600,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._asked, self._key, self._timeout_s, self._pause = asked, api_key, timeout_s, pause
        self._limit = "max_tokens"

    def ask(self, messages: tuple[Message, ...], max_tokens: int | None) -> ChatAnswer | ChatFailure:
        """Return the answer, or why there is none; what may pass is tried again, up to four times in all."""
        body: dict[str, Any] = {
            "model": self._asked.model,
            "messages": [message.model_dump() for message in messages],
            "stream": False,
        }
        if self._asked.temperature is not None:
            body["temperature"] = self._asked.temperature
        limit = max_tokens or self._asked.max_tokens
        begun = time.monotonic()
        for attempt in range(TRIES):
            found, wait_s = self._once(body if limit is None else {**body, self._limit: limit})
            if wait_s is None or attempt == TRIES - 1:
                break
            self._pause(min(LONGEST_PAUSE_S, wait_s or 2.0**attempt))
        return found.model_copy(update={"seconds": time.monotonic() - begun})

    def _once(self, body: Mapping[str, Any]) -> tuple[ChatAnswer | ChatFailure, float | None]:
        """Ask once; beside the answer, the seconds to wait before another try (0: as long as usual), None for no other."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        address = f"{self._asked.base_url}/v1/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310 - checked by the caller
        # As the load test: straight there, and the key goes nowhere else.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), StayThere)
        try:
            with opener.open(request, timeout=self._timeout_s) as response:
                told = response.read()
        except urllib.error.HTTPError as error:
            with error:
                return self._refused(error, sent=body)
        except TimeoutError:
            return ChatFailure(why=f"no answer within {self._timeout_s:g} s"), None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            return ChatFailure(why=f"no connection: {type(reason).__name__}"), 0.0
        try:
            return _answer(json.loads(told)), None
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            return ChatFailure(why="not an answer of an OpenAI-compatible server"), None

    def _refused(self, error: urllib.error.HTTPError, *, sent: Mapping[str, Any]) -> tuple[ChatFailure, float | None]:
        """Say what another status than 200 means, and when to try again."""
        told = _read(error)
        if error.code == 400 and self._limit in sent and _OTHER_LIMIT in told:
            self._limit = _OTHER_LIMIT  # some servers take the limit by this name alone
            return ChatFailure(why="HTTP 400"), 0.001
        if 300 <= error.code < 400:
            why = f"HTTP {error.code}: it sends on to another address, where the key is not taken"
            return ChatFailure(why=why), None
        wait = _seconds(error.headers.get("Retry-After")) if error.code in _AGAIN else None
        return ChatFailure(why=f"HTTP {error.code}{_code(told)}"), wait


def _answer(told: Mapping[str, Any]) -> ChatAnswer:
    choice = told["choices"][0]
    usage = told.get("usage") or {}
    prompt, output = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return ChatAnswer(
        text=choice["message"].get("content") or "",
        finish_reason=choice.get("finish_reason"),
        input_tokens=usage.get("prompt_tokens"),
        cached_tokens=prompt.get("cached_tokens"),
        output_tokens=usage.get("completion_tokens"),
        reasoning_tokens=output.get("reasoning_tokens"),
    )


def _read(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(_LONGEST).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        return ""


def _code(told: str) -> str:
    """Return what an error's body calls it: its short names, and not its message, which may repeat the prompt."""
    try:
        error = json.loads(told)["error"]
        names = [str(error[key]) for key in ("type", "code", "param") if error.get(key) is not None]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return "".join(f" {name}" for name in dict.fromkeys(names) if _NAME.fullmatch(name))


def _seconds(retry_after: str | None) -> float:
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0
