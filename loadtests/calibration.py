"""A server -> how many of its tokens the words of our prompts are, measured once before the load.

/tokenize counts without running the model. Where every word is worth the same tokens wherever it stands, and the chat
template adds the same whatever it wraps, prompts are made of exactly the length that is wanted: that is verified on
long texts, and on a completion's usage. Where it does not hold, or the server has no /tokenize, prompts have about the
length that is wanted, from the mean tokens of a word. One completion is asked for in any case: a server that refuses
the key, does not know the model or can't answer at all says so here, once, rather than in every sample.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from gevent.pool import Pool
from stream import body_message
from vocabulary import OPENER, WORDS, Vocabulary, words
from wire import Exchange, Server

from deploykit.measuring.samples import Calibration

_FEW, _MANY = 40, 400
_VERIFIED = (60, 1_000, 3_000)
"""Tokens of the texts on which exact lengths are verified."""
_AT_ONCE = 8
_TIMEOUT_S = 120

Count = Callable[[dict[str, Any]], int | None]
"""Asks /tokenize for a prompt's or messages' tokens; None if it does not say."""


class CannotCalibrate(Exception):  # noqa: N818 - it names what happened
    """The server answered neither way."""


def calibrate(server: Server, model: str, *, key: str) -> Calibration:
    """Measure the tokens of words and of the chat template on the server."""
    asked = words(f"{key}/calibration/{_FEW}", _FEW)
    few, output = _complete(server, model, asked)

    def count(body: dict[str, Any]) -> int | None:
        return _tokenize(server, {"model": model, **body})

    found = by_tokenize(count, key=key)
    if found is None or count(_chat([asked])) != few:  # usage is what counts: it is what is priced
        return _by_usage(server, model, key=key, few=few, few_output=output)
    return found.model_copy(update={"requests": 1, "prompt_tokens": few, "output_tokens": output})


def by_tokenize(count: Count, *, key: str) -> Calibration | None:
    """Return what /tokenize tells: exact lengths where they can be had, else the mean; None if it does not count."""
    text = words(f"{key}/calibration", _MANY)
    plain, chat = count(_plain(text)), count(_chat([text]))
    if not plain or not chat:
        return None
    mean = Calibration(method="tokenize", tokens_per_word=plain / _MANY, template_tokens=chat - plain)
    counted = _count_words(count)
    if counted is None:
        return mean
    opener, each = counted
    try:
        vocabulary = Vocabulary(each, opener)
    except ValueError:
        return mean
    exact = mean.model_copy(update={"method": "exact", "word_tokens": each, "opener_tokens": opener})
    if not _verified(count, vocabulary, mean.template_tokens, key=key):
        return mean
    return exact.model_copy(update={"turn_tokens": _turn_tokens(count, vocabulary, mean.template_tokens, key=key)})


def _count_words(count: Count) -> tuple[int, tuple[int, ...]] | None:
    """Return the opener's tokens, and those of each word after it."""
    opener = count(_plain(OPENER))
    whole = count(_plain(" ".join((OPENER, *WORDS))))
    if not opener or not whole:
        return None
    if whole - opener == len(WORDS):  # none can be less than one
        return opener, (1,) * len(WORDS)
    with_each = Pool(_AT_ONCE).map(lambda word: count(_plain(f"{OPENER} {word}")), WORDS)
    # a word that the server does not count by itself is left out
    each = tuple(max(0, (both or opener) - opener) for both in with_each)
    return opener, each


def _verified(count: Count, vocabulary: Vocabulary, template: float, *, key: str) -> bool:
    """Whether texts of several lengths have the length they were made for, and the template adds the same to each."""
    for tokens in _VERIFIED:
        text = vocabulary.text(f"{key}/verified/{tokens}", tokens)
        if count(_plain(text)) != tokens or count(_chat([text])) != tokens + template:
            return False
    return True


def _turn_tokens(count: Count, vocabulary: Vocabulary, template: float, *, key: str) -> int | None:
    """Return what the template adds for an earlier turn; None if turns do not add up, or are refused."""
    said = [vocabulary.text(f"{key}/turns/{number}", 50 + 13 * number) for number in range(5)]
    added = []
    for turns in (1, 2):
        spoken = said[: 2 * turns + 1]
        whole = count(_chat(spoken))
        if whole is None:
            return None
        added.append(whole - template - sum(50 + 13 * number for number in range(len(spoken))))
    return int(added[0]) if added[1] == 2 * added[0] and added[0] >= 0 else None


def _plain(text: str) -> dict[str, Any]:
    return {"prompt": text, "add_special_tokens": False}


def _chat(said: Sequence[str]) -> dict[str, Any]:
    """Return messages that a user and an assistant say in turn, ready for the next answer."""
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(said)]
    return {"messages": messages, "add_generation_prompt": True}


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
