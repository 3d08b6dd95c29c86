"""A server -> how many of its tokens a word of our prompts is, measured once before the load.

/tokenize counts without running the model; where a server has none, two completions of one token are asked for and
their usage is read. One completion is asked for in any case: a server that refuses the key, does not know the model or
can't answer at all says so here, once, rather than in every sample.
"""

import json
from typing import Any

from prompts import words
from stream import body_message
from wire import Exchange, Server

from deploykit.measuring.samples import Calibration

_FEW, _MANY = 40, 400
_TIMEOUT_S = 120


class CannotCalibrate(Exception):  # noqa: N818 - it names what happened
    """The server answered neither way."""


def calibrate(server: Server, model: str, *, key: str) -> Calibration:
    """Measure tokens per word and the chat template's tokens on the server."""
    few, output = _complete(server, model, words(f"{key}/calibration/{_FEW}", _FEW))
    found = _by_tokenize(server, model, key=key)
    if found is None:
        return _by_usage(server, model, key=key, few=few, few_output=output)
    return found.model_copy(update={"requests": 1, "prompt_tokens": few, "output_tokens": output})


def _by_tokenize(server: Server, model: str, *, key: str) -> Calibration | None:
    text = words(f"{key}/calibration", _MANY)
    plain = _tokenize(server, {"model": model, "prompt": text, "add_special_tokens": False})
    messages = [{"role": "user", "content": text}]
    chat = _tokenize(server, {"model": model, "messages": messages, "add_generation_prompt": True})
    if not plain or not chat:
        return None
    return Calibration(method="tokenize", tokens_per_word=plain / _MANY, template_tokens=chat - plain)


def _tokenize(server: Server, body: dict[str, Any]) -> int | None:
    exchange = Exchange()
    server.post("/tokenize", json.dumps(body).encode(), timeout_s=_TIMEOUT_S, into=exchange)
    if exchange.failure or exchange.status != 200:
        return None
    try:
        count = json.loads(exchange.body)["count"]
    except (ValueError, KeyError, TypeError):
        return None
    return count if isinstance(count, int) else None


def _by_usage(server: Server, model: str, *, key: str, few: int, few_output: int) -> Calibration:
    many, many_output = _complete(server, model, words(f"{key}/calibration/{_MANY}", _MANY))
    slope = (many - few) / (_MANY - _FEW)
    if slope <= 0:
        raise CannotCalibrate(f"the server counted {few} tokens for {_FEW} words and {many} for {_MANY}")
    return Calibration(
        method="usage",
        tokens_per_word=slope,
        template_tokens=few - slope * _FEW,
        requests=2,
        prompt_tokens=few + many,
        output_tokens=few_output + many_output,
    )


def _complete(server: Server, model: str, prompt: str) -> tuple[int, int]:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
    exchange = Exchange()
    server.post("/v1/chat/completions", json.dumps(body).encode(), timeout_s=_TIMEOUT_S, into=exchange)
    if exchange.failure:
        raise CannotCalibrate(f"the server does not answer: {exchange.detail}")
    if exchange.status != 200:
        raise CannotCalibrate(
            f"the server answers HTTP {exchange.status}: {server.redact(body_message(exchange.body))}"
        )
    try:
        usage = json.loads(exchange.body)["usage"]
        return int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (ValueError, KeyError, TypeError):
        raise CannotCalibrate("the server's answer has no usage, so its tokens can't be counted") from None
