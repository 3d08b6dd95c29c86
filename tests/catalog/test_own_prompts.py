"""Prompts of one's own: what a line may be, and that no error repeats one."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.own_prompts import OwnPrompt, parse_prompts
from deploykit.errors import CatalogError

SECRET = "the patient's name"


def test_a_prompt_is_a_users_message_and_messages_are_sent_as_they_are() -> None:
    lines = [
        '{"prompt": "hello"}',
        "",
        '{"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text"}]}], "max_tokens": 5}',
    ]
    first, second = parse_prompts(lines, file="p")
    assert first == OwnPrompt(({"role": "user", "content": "hello"},), None)
    assert second.max_tokens == 5
    assert second.messages[1] == {"role": "user", "content": [{"type": "text"}]}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f'{{"prompt": "{SECRET}"', "not JSON"),
        (f'["{SECRET}"]', "no JSON object"),
        (f'{{"text": "{SECRET}"}}', "no key `text`"),
        (f'{{"prompt": "{SECRET}", "messages": []}}', "one of `prompt` and `messages`"),
        ('{"max_tokens": 3}', "one of `prompt` and `messages`"),
        (f'{{"prompt": ["{SECRET}"]}}', "`prompt` is not text"),
        ('{"prompt": ""}', "`prompt` is not text"),
        ('{"messages": []}', "not a list of messages"),
        (f'{{"messages": ["{SECRET}"]}}', "message 1 has no `role` and `content`"),
        (f'{{"messages": [{{"role": "user", "content": "x"}}, {{"content": "{SECRET}"}}]}}', "message 2 has no"),
        (f'{{"prompt": "{SECRET}", "max_tokens": 0}}', "`max_tokens`"),
        (f'{{"prompt": "{SECRET}", "max_tokens": true}}', "`max_tokens`"),
        (f'{{"prompt": "{SECRET}", "max_tokens": "{SECRET}"}}', "`max_tokens`"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_never_repeated(line: str, says: str) -> None:
    with pytest.raises(CatalogError) as error:
        parse_prompts(['{"prompt": "a"}', line], file="p")
    assert says in error.value.what
    assert str(error.value.where).startswith("p:2")
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None


def test_a_file_without_prompts_is_an_error() -> None:
    with pytest.raises(CatalogError, match="no prompt in the file"):
        parse_prompts(["", " "], file="p")


@given(st.text(max_size=40))
def test_any_line_is_a_prompt_or_one_error(line: str) -> None:
    with contextlib.suppress(CatalogError):  # and nothing else
        assert parse_prompts([line], file="p")
