"""Orders -> the messages of their prompts, and the request bodies around them.

Words are drawn at random from a list of ordinary short ones. No prompt shares its beginning with another beyond its
first word, except that requests of one shared prefix begin with that prefix, and a session's turn with the turn
before: so the engine's prefix cache can hit what the workload meant it to hit and nothing else. The run's nonce makes
the words differ from those of an earlier run of one seed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from schedule import Order
from vocabulary import WORDS, Vocabulary, words

from deploykit.catalog.stages import MOST_REQUESTS
from deploykit.catalog.workload import TraceReplay, Workload
from deploykit.measuring.samples import Calibration

__all__ = ("WORDS", "Lengths", "Message", "Prompts", "chat_body", "words")

Message = dict[str, Any]

_NONCE = 24
"""Tokens of the words that set a prompt apart: some ten words of 278, so that no two requests begin alike."""
_BLOCKS = 8192
"""Texts of a trace's blocks that are remembered: some 20 MB."""


@dataclass(frozen=True)
class Lengths:
    """What turns tokens into words: measured on the server before the run."""

    tokens_per_word: float
    template_tokens: float
    turn_tokens: float | None = None
    """Tokens the template adds for an earlier question and its answer; as for the first message where unknown."""
    word_tokens: tuple[int, ...] = ()
    opener_tokens: int = 0

    @classmethod
    def of(cls, calibration: Calibration) -> "Lengths":
        """Return what a calibration found."""
        return cls(
            tokens_per_word=calibration.tokens_per_word,
            template_tokens=calibration.template_tokens,
            turn_tokens=calibration.turn_tokens,
            word_tokens=calibration.word_tokens,
            opener_tokens=calibration.opener_tokens,
        )

    @cached_property
    def vocabulary(self) -> Vocabulary | None:
        """The words of known length; None where only their mean is known."""
        return Vocabulary(self.word_tokens, self.opener_tokens) if self.word_tokens else None

    def words(self, tokens: float) -> int:
        """Return how many words make about so many tokens; at least one."""
        return max(1, round(tokens / self.tokens_per_word))

    def text(self, key: str, tokens: float) -> str:
        """Return a message's text of so many tokens: exactly, where the words' lengths are known."""
        if self.vocabulary:
            return self.vocabulary.text(key, round(tokens))
        return words(key, self.words(tokens))

    def more(self, key: str, tokens: float) -> str:
        """Return text of so many tokens that goes on after other words."""
        if self.vocabulary:
            return self.vocabulary.more(key, round(tokens))
        return words(key, self.words(tokens))


class Prompts:
    """Makes the prompts of one run; the shared prefixes are made once."""

    def __init__(self, workload: Workload, lengths: Lengths, *, nonce: str) -> None:
        self._lengths, self._key = lengths, f"{workload.seed}/{nonce}"
        self._fresh = workload.fresh_prompts
        self._block_tokens = {
            index: stage.block_tokens for index, stage in enumerate(workload.stages) if isinstance(stage, TraceReplay)
        }
        self._block = lru_cache(maxsize=_BLOCKS)(self._make_block)
        shared = None if self._fresh else workload.shared_prefix
        self._prefixes = [
            lengths.text(f"{self._key}/prefix/{number}", shared.tokens)
            for number in range(shared.distinct if shared else 0)
        ]

    def messages(self, order: Order) -> list[Message]:
        """Return the messages of a request: what was said before in its session, then its new text."""
        lengths = self._lengths
        template = lengths.template_tokens
        if order.blocks and not self._fresh:
            return [{"role": "user", "content": self._of_blocks(order)}]
        between = template if lengths.turn_tokens is None else lengths.turn_tokens
        own = f"{self._key}/prompt/{order.request}" if order.session is None else f"{self._key}/session/{order.session}"
        said: list[Message] = []
        for turn, (asked, answered) in enumerate((*order.earlier, (order.prompt_tokens, 0))):
            key = own if order.session is None else f"{own}/asks/{turn}"
            tokens = asked - (between if turn else template)
            prefix = self._prefixes[order.prefix] if self._prefixes and order.prefix is not None and not turn else None
            if self._fresh and not turn:  # all that comes after it is another text to a cache
                key, tokens = f"{self._key}/fresh/{order.request}", tokens + order.prefix_tokens
            said.append({"role": "user", "content": self._user(key, tokens, prefix)})
            if answered:
                said.append({"role": "assistant", "content": lengths.text(f"{own}/answers/{turn}", answered)})
        return said

    def prompt(self, order: Order) -> str:
        """Return the text of the last message."""
        return self.messages(order)[-1]["content"]

    def made_fresh(self, messages: Sequence[Message], order: Order) -> list[Message]:
        """Return messages whose first one begins with words of this request's own.

        Content that is no text (parts of an image, say) gets them as a part before it.
        """
        first, words_of_its_own = dict(messages[0]), self._lengths.text(f"{self._key}/fresh/{order.request}", _NONCE)
        content = first["content"]
        first["content"] = (
            f"{words_of_its_own}\n\n{content}"
            if isinstance(content, str)
            else [{"type": "text", "text": words_of_its_own}, *content]
        )
        return [first, *messages[1:]]

    def _of_blocks(self, order: Order) -> str:
        """Return a prompt of a trace: its blocks, each the same text in every request, and then text of its own.

        What the template adds is taken off the end: whole leading blocks are whole, and a cache holds all of them.
        """
        size, blocks = self._block_tokens[order.request // MOST_REQUESTS], order.blocks
        lengths = [max(0, min(size, order.prompt_tokens - place * size)) for place in range(len(blocks))]
        lengths.append(order.prompt_tokens - sum(lengths))
        over = self._lengths.template_tokens
        for place in reversed(range(len(lengths))):
            taken = min(over, lengths[place])
            lengths[place], over = lengths[place] - taken, over - taken
        parts = [
            self._block(block, tokens, first=place == 0)
            for place, (block, tokens) in enumerate(zip(blocks, lengths, strict=False))
            if tokens or not place
        ]
        if lengths[-1]:
            parts.append(self._lengths.more(f"{self._key}/prompt/{order.request}", lengths[-1]))
        return " ".join(filter(None, parts))

    def _make_block(self, block: int, tokens: float, *, first: bool) -> str:
        key = f"{self._key}/block/{block}"
        return self._lengths.text(key, tokens) if first else self._lengths.more(key, tokens)

    def _user(self, key: str, tokens: float, prefix: str | None) -> str:
        if prefix is None:
            return self._lengths.text(key, tokens)
        return " ".join(filter(None, (prefix, self._lengths.more(key, tokens))))


def chat_body(model: str, prompt: str | Sequence[Message], order: Order, workload: Workload) -> bytes:
    """Return the body of a streamed chat completion that ends with its usage; a prompt is one message of a user."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "max_tokens": order.output_tokens,
        "temperature": workload.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if workload.ignore_eos:
        body["ignore_eos"] = True  # vLLM's own; other servers refuse it, so it is sent only where it is asked for
    return json.dumps(body).encode()
