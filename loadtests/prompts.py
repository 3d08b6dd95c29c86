"""Lengths in tokens -> the text of prompts, and the request bodies around it.

Words are drawn at random from a list of ordinary short ones. No prompt shares its beginning with another, except
that requests of one shared prefix begin with that prefix: so the engine's prefix cache can hit what the workload
meant it to hit and nothing else. The run's nonce makes the words differ from those of an earlier run of one seed.
"""

import json
import random
from dataclasses import dataclass
from typing import Any

from schedule import Order

from deploykit.catalog.workload import Workload

WORDS = tuple(
    """
    able about above again air all also and angle animal answer apple area arm art ask back ball bank base bed begin
    best big bird black blue board boat body book bread bring brown build burn bus call camp car card care carry case
    cat cause cell change check child circle city class clean clear climb clock close cloud coast cold color come cook
    cool copy corn cost count cover cow cross crowd cry cut dance dark day dear decide deep desert dog door down draw
    dream dress drink drive drop dry dust early earth east eat edge egg end enter even eye face fact fair fall family
    farm fast father fear feed feel field fight fill final find fine finger fire first fish fit five flat floor flow
    flower fly follow food foot force forest form four free fresh friend front fruit full game garden gas gate gentle
    girl give glad glass go gold good grand grass gray great green ground group grow guess guide hair half hand happy
    hard hat head hear heart heat heavy help hill hold hole home hope horse hot hour house huge human hunt ice idea
    inch iron island job join jump keep key kind king know lake land large last late laugh law lead leaf learn left
    leg length less letter level life lift light line list little live long look lost loud love low machine main make
    man map mark market matter meal mean measure meat meet metal middle mile milk mind minute miss moment money month
    """.split()  # noqa: SIM905 - a list of 255 literals would be a page long
)


@dataclass(frozen=True)
class Lengths:
    """What turns tokens into words: measured on the server before the run."""

    tokens_per_word: float
    template_tokens: float

    def words(self, tokens: int, *, template: bool = True) -> int:
        """Return how many words make so many tokens, the chat template's own counted in or not; at least one."""
        wanted = tokens - (self.template_tokens if template else 0)
        return max(1, round(wanted / self.tokens_per_word))


class Prompts:
    """Makes the prompts of one run; the shared prefixes are made once."""

    def __init__(self, workload: Workload, lengths: Lengths, *, nonce: str) -> None:
        self._lengths, self._key = lengths, f"{workload.seed}/{nonce}"
        shared = workload.shared_prefix
        self._prefixes = [
            words(f"{self._key}/prefix/{number}", lengths.words(shared.tokens, template=False))
            for number in range(shared.distinct if shared else 0)
        ]

    def prompt(self, order: Order) -> str:
        """Return the text of a request's prompt: its prefix if it shares one, then words of its own."""
        own = words(f"{self._key}/prompt/{order.request}", self._lengths.words(order.prompt_tokens))
        return own if order.prefix is None else f"{self._prefixes[order.prefix]}\n\n{own}"


def words(key: str, count: int) -> str:
    """Return so many words drawn from the key alone."""
    return " ".join(random.Random(key).choices(WORDS, k=count))  # noqa: S311 - filler text, not a secret


def chat_body(model: str, prompt: str, order: Order, workload: Workload) -> bytes:
    """Return the body of a streamed chat completion that ends with its usage."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": order.output_tokens,
        "temperature": workload.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if workload.ignore_eos:
        body["ignore_eos"] = True  # vLLM's own; other servers refuse it, so it is sent only where it is asked for
    return json.dumps(body).encode()
