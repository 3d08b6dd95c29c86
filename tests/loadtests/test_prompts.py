"""Prompts: their lengths, and that only what is meant to be shared is shared."""

import json

from hypothesis import given
from hypothesis import strategies as st
from prompts import Lengths, Prompts, chat_body, words
from schedule import Order, conversation, order

from deploykit.catalog.workload import Fixed, Sessions, SharedPrefix
from tests.loadtests.builders import make_workload

ONE_TO_ONE = Lengths(tokens_per_word=1, template_tokens=0)


def common_beginning(one: str, other: str) -> int:
    """Words two prompts have in common at their beginning."""
    count = 0
    for left, right in zip(one.split(), other.split(), strict=False):
        if left != right:
            break
        count += 1
    return count


@given(tokens=st.integers(20, 100_000), per_word=st.floats(0.5, 6), template=st.floats(0, 19))
def test_a_length_is_hit_to_within_half_a_word(tokens: int, per_word: float, template: float) -> None:
    lengths = Lengths(per_word, template)
    if tokens > per_word:
        assert abs(lengths.words(tokens) * per_word - tokens) <= per_word / 2 + 1e-6


def test_the_templates_tokens_are_counted_in() -> None:
    prompts = Prompts(make_workload(), Lengths(tokens_per_word=1.5, template_tokens=10), nonce="n")
    assert len(prompts.prompt(Order(0, 160, 20, None)).split()) == 100  # (160 - 10) / 1.5
    assert len(prompts.prompt(Order(0, 3, 20, None)).split()) == 1


def test_prompts_share_their_prefix_and_nothing_more() -> None:
    workload = make_workload(shared_prefix=SharedPrefix(tokens=50, distinct=2))
    prompts = Prompts(workload, ONE_TO_ONE, nonce="n")
    zero, zero_again, one = (prompts.prompt(Order(n, 60, 20, prefix)) for n, prefix in ((0, 0), (1, 0), (2, 1)))
    assert len(zero.split()) == 110
    assert 50 <= common_beginning(zero, zero_again) <= 52
    assert common_beginning(zero, one) <= 2


def test_without_a_prefix_no_two_of_many_prompts_share_as_much_as_a_cache_block() -> None:
    prompts = Prompts(make_workload(), ONE_TO_ONE, nonce="n")
    beginnings = {" ".join(prompts.prompt(Order(n, 60, 20, None)).split()[:4]) for n in range(2000)}
    assert len(beginnings) == 2000


def test_another_nonce_or_seed_makes_other_prompts_and_the_same_ones_the_same() -> None:
    workload = make_workload(shared_prefix=SharedPrefix(tokens=50, distinct=1))
    wanted = order(workload, 3)
    made = {
        (seed, nonce): Prompts(workload.model_copy(update={"seed": seed}), ONE_TO_ONE, nonce=nonce).prompt(wanted)
        for seed in (1, 2)
        for nonce in ("a", "b")
    }
    assert len(set(made.values())) == 4
    assert all(common_beginning(made[1, "a"], other) <= 2 for key, other in made.items() if key != (1, "a"))
    assert Prompts(workload.model_copy(update={"seed": 1}), ONE_TO_ONE, nonce="a").prompt(wanted) == made[1, "a"]


def test_the_body_asks_for_a_stream_with_usage_and_sends_ignore_eos_only_where_wanted() -> None:
    wanted = Order(0, 60, 20, None)
    body = json.loads(chat_body("m", words("k", 3), wanted, make_workload()))
    assert body["stream_options"] == {"include_usage": True}
    assert (body["model"], body["max_tokens"], body["ignore_eos"], body["temperature"]) == ("m", 20, True, 0)
    assert "ignore_eos" not in json.loads(chat_body("m", "x", wanted, make_workload(ignore_eos=False)))


def test_a_turn_repeats_the_turns_before_it_word_by_word() -> None:
    workload = make_workload(
        shared_prefix=SharedPrefix(tokens=50, distinct=2), sessions=Sessions(turns=Fixed(tokens=3))
    )
    prompts = Prompts(workload, ONE_TO_ONE, nonce="n")
    first, second, third = (prompts.messages(turn) for turn in conversation(workload, 5))
    assert [message["role"] for message in third] == ["user", "assistant", "user", "assistant", "user"]
    assert second[:1] == first
    assert third[:3] == second
    assert [len(message["content"].split()) for message in third] == [110, 20, 60, 20, 60]
    other = prompts.messages(conversation(workload, 6)[2])
    assert [common_beginning(a["content"], b["content"]) <= 2 for a, b in zip(third, other, strict=True)][1:] == [
        True
    ] * 4


def test_the_body_carries_the_messages_it_is_given() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert json.loads(chat_body("m", messages, Order(0, 60, 20, None), make_workload()))["messages"] == messages


def test_own_messages_begin_anew_with_words_of_the_requests_own() -> None:
    prompts = Prompts(make_workload(fresh_prompts=True), ONE_TO_ONE, nonce="n")
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    one, again, other = (prompts.made_fresh(messages, Order(n, 0, 20, None)) for n in (1, 1, 2))
    assert one == again != other
    assert one[1] == messages[1]
    assert (one[0]["role"], messages[0]["content"]) == ("system", "be brief")
    before, _, after = one[0]["content"].partition("\n\n")
    assert (len(before.split()), after) == (24, "be brief")
    assert common_beginning(one[0]["content"], other[0]["content"]) <= 2
    parts = [{"role": "user", "content": [{"type": "image_url"}]}]
    (made,) = prompts.made_fresh(parts, Order(1, 0, 20, None))
    assert made["content"] == [{"type": "text", "text": before}, {"type": "image_url"}]
