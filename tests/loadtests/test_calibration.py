"""What /tokenize tells, against tokenizers of known behaviour: prompts are as long as the server counts them."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

import pytest
from calibration import by_tokenize
from hypothesis import given, settings
from hypothesis import strategies as st
from prompts import Lengths, Prompts
from schedule import Order, conversation
from vocabulary import WORDS

from deploykit.catalog.workload import Fixed, Sessions, SharedPrefix, TraceReplay, Uniform
from deploykit.rehearsal.tokenizer import CHAT_OVERHEAD_TOKENS, tokenizer_json
from tests.loadtests.builders import make_workload

SPECIAL = re.compile(r"(<\|\w+\|>|<bos>)")


def bpe(contents: dict[str, Any]) -> Callable[[str], int]:
    """Count tokens as the `tokenizers` library would with a byte-level BPE: words of letters, each with its space."""
    ranks = {tuple(merge): rank for rank, merge in enumerate(contents["model"]["merges"])}
    known: dict[str, int] = {}

    def word(text: str) -> int:
        parts = list(text.replace(" ", "Ġ"))
        while len(parts) > 1:
            pairs = [(ranks.get((a, b), len(ranks)), index) for index, (a, b) in enumerate(pairwise(parts))]
            rank, index = min(pairs)
            if rank == len(ranks):
                break
            parts[index : index + 2] = [parts[index] + parts[index + 1]]
        return len(parts)

    def count(text: str) -> int:
        total = 0
        for piece in SPECIAL.split(text):
            if SPECIAL.fullmatch(piece):
                total += 1
                continue
            for part in re.findall(r" ?[^\s]+", piece):
                total += known.setdefault(part, word(part))
        return total

    return count


def chat(messages: list[dict[str, str]]) -> str:
    """The stand-in's chat template."""
    said = "".join(f"<|{message['role']}|>{message['content']}<|end|>" for message in messages)
    return f"<bos>{said}<|assistant|>"


def server(tokens: Callable[[str], int], refuses: int = 99) -> Callable[[dict[str, Any]], int | None]:
    def count(body: dict[str, Any]) -> int | None:
        if "prompt" in body:
            return tokens(body["prompt"])
        return tokens(chat(body["messages"])) if len(body["messages"]) < refuses else None

    return count


def beginning(one: str, other: str) -> str:
    """What two texts have in common, from their first letter."""
    same = (letter for letter, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    return "".join(same)


STAND_IN = bpe(tokenizer_json(4096, 7))
SMALL = bpe(tokenizer_json(900, 3))
"""A third of the pairs are words, the others fall into letters: words of several lengths."""

COUNTED = by_tokenize(server(STAND_IN), key="k")
COUNTED_SMALL = by_tokenize(server(SMALL), key="k")


@pytest.mark.parametrize("found", [COUNTED, COUNTED_SMALL])
def test_the_stand_ins_tokens_are_counted_exactly(found) -> None:
    assert (found.method, found.template_tokens) == ("exact", CHAT_OVERHEAD_TOKENS)
    assert len(found.word_tokens) == len(WORDS)
    # `<|end|><|assistant|>` after the question and `<|end|><|user|>` after the answer
    assert found.turn_tokens == 4


def test_a_word_has_the_tokens_it_has() -> None:
    assert len(set(COUNTED_SMALL.word_tokens)) > 2


@settings(max_examples=60)
@given(tokens=st.integers(16, 3000), request=st.integers(0, 10**9), small=st.booleans(), shared=st.booleans())
def test_a_prompt_is_as_long_as_it_is_meant_to_be(tokens: int, request: int, small: bool, shared: bool) -> None:
    counts, found = (SMALL, COUNTED_SMALL) if small else (STAND_IN, COUNTED)
    workload = make_workload(shared_prefix=SharedPrefix(tokens=100, distinct=2) if shared else None)
    prompts = Prompts(workload, Lengths.of(found), nonce="n")
    order = Order(request, tokens, 20, 1 if shared else None, 100 if shared else 0)
    assert counts(chat(prompts.messages(order))) == order.whole_prompt_tokens == tokens + (100 if shared else 0)


@settings(max_examples=25)
@given(session=st.integers(0, 10**6), small=st.booleans())
def test_every_turn_is_as_long_as_it_is_meant_to_be_and_begins_as_the_one_before(session: int, small: bool) -> None:
    counts, found = (SMALL, COUNTED_SMALL) if small else (STAND_IN, COUNTED)
    workload = make_workload(
        prompt_tokens=Uniform(low=20, high=200),
        output_tokens=Uniform(low=12, high=90),
        shared_prefix=SharedPrefix(tokens=300, distinct=2),
        sessions=Sessions(turns=Fixed(tokens=4), first_prompt_tokens=Fixed(tokens=400)),
    )
    prompts = Prompts(workload, Lengths.of(found), nonce="n")
    before = ""
    for turn in conversation(workload, session):
        text = chat(prompts.messages(turn))
        assert counts(text) == turn.whole_prompt_tokens
        assert text.startswith(before)
        assert not before or counts(before) == turn.reusable_tokens
        before = text


@settings(max_examples=40)
@given(
    tokens=st.integers(24, 3000),
    ids=st.lists(st.integers(0, 50), max_size=6),
    small=st.booleans(),
    fresh=st.booleans(),
)
def test_a_traces_prompt_is_as_long_as_the_trace_says(tokens: int, ids: list[int], small: bool, fresh: bool) -> None:
    counts, found = (SMALL, COUNTED_SMALL) if small else (STAND_IN, COUNTED)
    workload = make_workload(stages=(TraceReplay(file="t", duration_s=9),), fresh_prompts=fresh)
    prompts = Prompts(workload, Lengths.of(found), nonce="n")
    order = Order(7, tokens, 20, None, blocks=tuple(ids[: -(-tokens // 512)]))
    # a last block shorter than the shortest length that words can have is the nearest lower one
    short = found.word_tokens and prompts._lengths.vocabulary.shortest
    rest = tokens % 512 if tokens > 512 else 0
    assert counts(chat(prompts.messages(order))) == pytest.approx(tokens, abs=rest if 0 < rest < short else 0)


@pytest.mark.parametrize(("counts", "found"), [(STAND_IN, COUNTED), (SMALL, COUNTED_SMALL)])
def test_leading_blocks_that_are_alike_are_the_same_tokens_and_others_are_not(counts, found) -> None:
    prompts = Prompts(make_workload(stages=(TraceReplay(file="t", duration_s=9),)), Lengths.of(found), nonce="n")
    texts = [
        chat(prompts.messages(Order(n, tokens, 20, None, blocks=blocks)))
        for n, (tokens, blocks) in enumerate(
            [(1600, (1, 2, 3, 4)), (1500, (1, 2, 9)), (1600, (1, 2, 3, 4)), (1024, (5, 2))]
        )
    ]
    shared = beginning(*texts[:2])
    # `<bos><|user|>` and two whole blocks, and what later words have in common by chance
    assert 2 + 1024 <= counts(shared.rpartition(" ")[0]) < 2 + 1024 + 5
    bodies = {text.removesuffix("<|end|><|assistant|>") for text in (texts[0], texts[2])}
    assert len(bodies) == 1  # every block is alike, and so is all of the prompt
    assert len(beginning(texts[0], texts[3]).split()) <= 2


@settings(max_examples=25)
@given(session=st.integers(0, 10**6), small=st.booleans())
def test_fresh_turns_are_as_long_and_share_no_beginning(session: int, small: bool) -> None:
    counts, found = (SMALL, COUNTED_SMALL) if small else (STAND_IN, COUNTED)
    workload = make_workload(
        shared_prefix=SharedPrefix(tokens=300, distinct=1),
        sessions=Sessions(turns=Fixed(tokens=3)),
        fresh_prompts=True,
    )
    prompts = Prompts(workload, Lengths.of(found), nonce="n")
    turns = [replace(turn, request=n) for n, turn in enumerate(conversation(workload, session))]
    texts = [chat(prompts.messages(turn)) for turn in turns]
    assert [counts(text) for text in texts] == [turn.whole_prompt_tokens for turn in turns]
    for one, other in pairwise(texts):
        assert counts(beginning(one, other)) < 16  # a block of the smallest prefix caches


def test_words_that_do_not_add_up_have_a_mean_length() -> None:
    found = by_tokenize(server(lambda text: len(SPECIAL.sub(" x ", text).split()) * 3 // 2), key="k")
    assert (found.method, found.tokens_per_word, found.word_tokens) == ("tokenize", 1.5, ())


def test_words_that_cannot_make_every_length_have_a_mean_length() -> None:
    def even(text: str) -> int:
        return 2 * len(SPECIAL.sub("", text).split()) + len(SPECIAL.findall(text))

    found = by_tokenize(server(even), key="k")
    assert (found.method, found.tokens_per_word) == ("tokenize", 2)


def test_a_server_that_refuses_earlier_turns_leaves_what_they_add_unknown() -> None:
    found = by_tokenize(server(STAND_IN, refuses=2), key="k")
    assert (found.method, found.turn_tokens) == ("exact", None)


def test_one_question_is_enough_where_every_word_is_one_token() -> None:
    asked = []

    def count(body: dict[str, Any]) -> int:
        asked.append(body)
        text = body["prompt"] if "prompt" in body else chat(body["messages"])
        return len(SPECIAL.sub(" x ", text).split())

    assert by_tokenize(count, key="k").word_tokens == (1,) * len(WORDS)
    assert len(asked) < 15
    assert json.dumps(asked)


def test_a_server_without_tokenize_tells_nothing() -> None:
    assert by_tokenize(lambda body: None, key="k") is None
