"""The tokenizer's structure; the `tokenizers` library itself reads it in tests/contracts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.rehearsal.tokenizer import CHAT_OVERHEAD_TOKENS, CHAT_TEMPLATE, MIN_VOCAB_SIZE, tokenizer_json, words

SIZES = st.integers(min_value=MIN_VOCAB_SIZE, max_value=8000)
SEEDS = st.integers(min_value=0, max_value=2**32)


def encode(model: dict, word: str) -> list[str]:
    """Byte-pair encode one ASCII word, its leading space included, as the algorithm's definition says."""
    ranks = {tuple(merge): rank for rank, merge in enumerate(model["merges"])}
    parts = list(word.replace(" ", "Ġ"))
    while True:
        best = min(itertools.pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)), default=None)
        if best is None or best not in ranks:
            return parts
        place = list(itertools.pairwise(parts)).index(best)
        parts[place : place + 2] = ["".join(best)]


@given(size=SIZES, seed=SEEDS)
def test_the_vocabulary_has_the_size_that_was_asked_for(size: int, seed: int) -> None:
    vocab = tokenizer_json(size, seed)["model"]["vocab"]
    assert len(vocab) == size
    assert sorted(vocab.values()) == list(range(size))


@given(size=SIZES, seed=SEEDS)
def test_every_merge_joins_tokens_that_are_there_before_it(size: int, seed: int) -> None:
    model = tokenizer_json(size, seed)["model"]
    for first, second in model["merges"]:
        assert max(model["vocab"][first], model["vocab"][second]) < model["vocab"][first + second]


@pytest.mark.parametrize("seed", [0, 1])
def test_words_are_one_token_with_and_without_a_space(seed: int) -> None:
    model = tokenizer_json(4096, seed)["model"]
    for word in words(4096, seed):
        assert encode(model, word) == [word]
        assert encode(model, f" {word}") == [f"Ġ{word}"]


@pytest.mark.parametrize("seed", [0, 1])
def test_no_merge_is_dead(seed: int) -> None:
    model = tokenizer_json(4096, seed)["model"]
    unreached = [token for token in map("".join, model["merges"]) if encode(model, token) != [token]]
    assert not unreached


def test_a_word_that_is_not_listed_is_several_tokens() -> None:
    assert len(encode(tokenizer_json(4096, 0)["model"], " deploykit")) > 1


@given(size=SIZES)
def test_words_are_distinct_and_as_many_as_the_vocabulary_holds(size: int) -> None:
    listed = words(size, 0)
    assert len(listed) == len(set(listed)) == min(26 * 26, (size - MIN_VOCAB_SIZE) // 2 + 1)


def test_every_byte_has_a_symbol_of_its_own() -> None:
    vocab = tokenizer_json(4096, 0)["model"]["vocab"]
    symbols = [token for token, number in vocab.items() if 7 <= number < 263]
    assert len(set(symbols)) == 256
    assert all(symbol.isprintable() and not symbol.isspace() for symbol in symbols)
    assert symbols[ord("a")] == "a"
    assert symbols[ord(" ")] == "Ġ"


def test_the_chat_template_adds_the_tokens_it_says() -> None:
    # <bos>, one role, <|end|>, <|assistant|>: one special token each.
    assert CHAT_TEMPLATE.count("bos_token") == 1
    assert CHAT_TEMPLATE.count("<|end|>") == 1
    assert CHAT_OVERHEAD_TOKENS == 4
