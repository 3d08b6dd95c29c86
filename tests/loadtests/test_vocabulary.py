"""Text of exactly so many tokens, whatever words are in a vocabulary."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vocabulary import OPENER, WORDS, Vocabulary, words


def tokens_of(text: str, costs: dict[str, int], opener: int) -> int:
    first, *rest = text.split(" ")
    assert first == OPENER
    return opener + sum(costs[word] for word in rest)


def test_words_are_many_and_distinct() -> None:
    assert len(WORDS) == len(set(WORDS)) == 278
    assert OPENER in WORDS


@given(
    costs=st.lists(st.integers(0, 3), min_size=278, max_size=278).filter(lambda c: 1 in c),
    opener=st.integers(1, 3),
    tokens=st.integers(1, 3000),
    key=st.text(max_size=5),
)
def test_every_length_is_exact_where_a_word_is_one_token(costs: list[int], opener: int, tokens: int, key: str) -> None:
    vocabulary = Vocabulary(costs, opener)
    text = vocabulary.text(key, tokens)
    assert tokens_of(text, dict(zip(WORDS, costs, strict=True)), opener) == max(tokens, opener)
    assert vocabulary.text(key, tokens) == text


@given(
    kinds=st.sets(st.integers(1, 9), min_size=1, max_size=4).filter(lambda k: math.gcd(*k) == 1),
    tokens=st.integers(1, 500),
)
def test_every_length_above_a_minimum_is_exact_without_such_a_word(kinds: set[int], tokens: int) -> None:
    every = sorted(kinds)
    costs = [every[number % len(every)] for number in range(278)]
    vocabulary = Vocabulary(costs, 2)
    made = tokens_of(vocabulary.text("k", tokens), dict(zip(WORDS, costs, strict=True)), 2)
    assert made == tokens or tokens - 2 < vocabulary.shortest
    assert made <= max(tokens, 2)


def test_words_that_leave_lengths_out_for_ever_are_refused() -> None:
    with pytest.raises(ValueError, match="common divisor"):
        Vocabulary([2] * 278, 1)
    with pytest.raises(ValueError, match="no word"):
        Vocabulary([0] * 278, 1)


def test_a_word_of_no_known_length_is_never_used() -> None:
    costs = [0 if word.startswith("a") else 1 for word in WORDS]
    assert not [word for word in Vocabulary(costs, 1).text("k", 5000).split() if word.startswith("a")]


def test_texts_differ_from_their_second_word_on() -> None:
    vocabulary = Vocabulary([1] * 278, 1)
    assert len({vocabulary.text(f"k/{n}", 12) for n in range(2000)}) == 2000
    assert len(words("k", 7).split()) == 7
