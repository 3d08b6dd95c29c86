"""Tokens -> text of exactly so many of the server's tokens, from ordinary short words whose length in tokens is known.

Text begins with one opener, which stands without a space before it; each word after it has one. What a word is in
tokens was measured so, and that words add up was verified, before the load began.
"""

import random
from collections.abc import Iterator, Sequence
from functools import cached_property

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
    am an as at be by do he if in is it me my no of on or so to up us we
    """.split()  # noqa: SIM905 - a list of 278 literals would be a page long
)

OPENER = "so"
"""The first word of a text of exact length. Two of its letters are one token in the smallest vocabularies too."""


class Vocabulary:
    """Words and their lengths in a server's tokens.

    Args:
        word_tokens: the tokens of each of `WORDS` after a space; 0 leaves a word out.
        opener_tokens: the tokens of the opener where a text begins.

    Raises ValueError where no text can have certain lengths, however long: every word even, say.

    """

    def __init__(self, word_tokens: Sequence[int], opener_tokens: int) -> None:
        self.opener_tokens = opener_tokens
        self._costs = {word: cost for word, cost in zip(WORDS, word_tokens, strict=True) if cost > 0}
        self._words, self._most = tuple(self._costs), max(self._costs.values(), default=0)
        if not self._words:
            raise ValueError("no word has a known length")
        self._reachable, self._floor = _reachable(set(self._costs.values()))

    @property
    def shortest(self) -> int:
        """The tokens from which on every length can be had after the opener."""
        return self._floor

    def more(self, key: str, tokens: int) -> str:
        """Return words of exactly so many tokens in all, to stand after a space, drawn from the key alone.

        Below `shortest` it is the next lower length that can be had: perhaps no word at all.
        """
        return " ".join(self._draw(random.Random(key), tokens))  # noqa: S311 - filler text, not a secret

    def text(self, key: str, tokens: int) -> str:
        """Return a text of exactly so many tokens; at least the opener."""
        return " ".join(filter(None, (OPENER, self.more(key, tokens - self.opener_tokens))))

    def _draw(self, rng: random.Random, tokens: int) -> Iterator[str]:
        # in bulk while any word fits and leaves a length that can be had, then one by one
        while (sure := (tokens - self._floor) // self._most) > 0:
            chosen = rng.choices(self._words, k=sure)
            tokens -= sum(map(self._costs.__getitem__, chosen))
            yield from chosen
        while tokens > 0:
            fitting = [cost for cost in self._by_cost if cost <= tokens and self._can_be(tokens - cost)]
            if not fitting:
                tokens -= 1
                continue
            word = rng.choice([word for cost in fitting for word in self._by_cost[cost]])
            tokens -= self._costs[word]
            yield word

    def _can_be(self, tokens: int) -> bool:
        return tokens >= self._floor or self._reachable[tokens]

    @cached_property
    def _by_cost(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for word, cost in self._costs.items():
            found.setdefault(cost, []).append(word)
        return found


def _reachable(costs: set[int]) -> tuple[list[bool], int]:
    """Return which lengths are sums of costs, up to the one from which on all are, and that one.

    Two costs without a common divisor leave no length out beyond their product; so do more of them.
    """
    most = max(costs)
    limit = most * most + most
    can = [True, *[False] * limit]
    for length in range(1, limit + 1):
        can[length] = any(cost <= length and can[length - cost] for cost in costs)
    if not all(can[-most:]):
        raise ValueError("the words' lengths have a common divisor")
    floor = limit
    while floor > 0 and can[floor - 1]:
        floor -= 1
    return can[: floor + 1], floor


def words(key: str, count: int) -> str:
    """Return so many words drawn from the key alone."""
    return " ".join(random.Random(key).choices(WORDS, k=count))  # noqa: S311 - filler text, not a secret
